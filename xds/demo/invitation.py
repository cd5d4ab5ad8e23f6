"""What the demo tells its user to try."""

from xds.demo.plan import DemoPlan


def invitation(plan: DemoPlan) -> str:
    """Return the text, with lines for a shell that work when pasted."""
    edge = f"127.0.0.1:{plan.settings.edge.port}"
    reviews = "-H 'Host: reviews.example.com'"
    loop = (
        f"""for i in $(seq 1000); do curl -s -o /dev/null {reviews} -H "x-user-id: user-$i" {edge}/; done"""
    )
    return f"""
Everything runs. In another terminal:

    # most requests reach v1, some v2; with a user's id, always the same
    curl {reviews} {edge}/
    curl {reviews} -H 'x-user-id: alice' {edge}/

    # testers always reach v2
    curl {reviews} -H 'x-release: canary' {edge}/
    curl {reviews} --cookie 'release=canary' {edge}/
    curl {reviews} '{edge}/?gray=1'

    # another service, with one version
    curl -H 'Host: ratings.example.com' {edge}/

    # a thousand users: watch the split below
    {loop}

{_rules(plan)}

{_rollout(plan)}
The dashboard is at http://127.0.0.1:{plan.settings.http.port}/
Logs are in {plan.directory.root / "logs"}. Ctrl-C stops everything.
"""


def _rules(plan: DemoPlan) -> str:
    if plan.settings.source == "files":
        return f"""\
The rules are in {plan.directory.rules}. Change the weights in {plan.directory.rules / "reviews.yaml"}, save,
and send the thousand again."""
    nacos = plan.settings.nacos
    return f"""\
The rules are in Nacos at {nacos.server}: namespace {nacos.namespace or "public"}, group {nacos.rules_group}.
Change the weights of dataId reviews.yaml in its console, publish, and send the thousand again."""


_ROLLOUT = """\
rollout:
  subset: gray
  steps: [{weight: 10, for: 20s}, {weight: 50, for: 60s}, {weight: 100}]
  analysis: {interval: 5s, minRequests: 10, successRate: {min: 95}}
"""


def _rollout(plan: DemoPlan) -> str:
    """Say how to start a rollout of the gray version, and how to break it."""
    edge = f"127.0.0.1:{plan.settings.edge.port}"
    server = f"--server http://127.0.0.1:{plan.settings.http.port}"
    users = f"while :; do curl -s -o /dev/null -H 'Host: reviews.example.com' {edge}/; done"
    gray = next(sample for sample in plan.samples if (sample.service, sample.version) == ("reviews", "v2"))
    if plan.settings.source == "files":
        begin = f"cat >> {plan.directory.rules / 'reviews.yaml'} <<'END'\n{_ROLLOUT}END"
    else:
        begin = f"# add this to reviews.yaml in the console\n{_ROLLOUT.rstrip()}"
    return f"""\
A rollout takes the gray version to all users by itself if it is good. With users that never stop, and the
steps at the end of the rules:

    {users}

{begin}

    grayplane rollout status reviews --watch {server}

It is taken back if it is not. Break the gray version on the way; then mend it, and begin again:

    curl -X POST 127.0.0.1:{gray.port}/break
    curl -X POST 127.0.0.1:{gray.port}/mend
    grayplane rollout retry reviews {server}
"""
