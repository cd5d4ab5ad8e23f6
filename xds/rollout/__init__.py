"""Rollouts: steps, analysis, promotion, rollback. Their only output is overrides of weights.

The core is pure: `plan` is what a document wants, `observation` what was seen, `analysis` what that shows,
`state` the table of all states, `machine` what an event does, `simulation` a rollout in virtual time.
"""
