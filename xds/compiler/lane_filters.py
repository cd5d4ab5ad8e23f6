"""Lanes at an edge: filters that strip marks from outside and put marks on those who enter.

They stand before the route is chosen for good, so routes only look at marks, at the edge as in the mesh: what
lanes cost at an edge does not grow with the number of services.
"""

from collections.abc import Iterable

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutation as HeaderMutationFilter,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import Mutations
from envoy_data_plane.envoy.extensions.filters.http.set_filter_state.v3 import Config as SetFilterState
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    HeaderMutation as EarlyHeaderMutation,
)

from xds.compiler.conditional_filter import only_if
from xds.compiler.route_filters import state_filters
from xds.routing.lanes import Entrance, Entrances
from xds.routing.predicates import (
    NEVER,
    And,
    Baggage,
    Exact,
    Header,
    Not,
    Or,
    Predicate,
    Test,
    simplified,
)
from xds.wire import any_of, build


def mark_stripping(entrances: Entrances) -> list[TypedExtensionConfig]:
    """Build what takes marks from outside away, before anything looks at a request.

    Of ``baggage`` nothing is kept: Envoy cannot take out single members, and what strangers put there is not
    to be carried through the mesh.
    """
    headers = {lane.mark.name if isinstance(lane.mark, Header) else "baggage" for lane in entrances.lanes}
    if not headers:
        return []
    removals = [HeaderMutation(remove=name) for name in sorted(headers)]
    stripping = any_of(EarlyHeaderMutation(mutations=removals))
    return [TypedExtensionConfig(name="strip-lane-marks", typed_config=stripping)]


def lane_filters(entrances: Entrances) -> list[HttpFilter]:
    """Build the filters that put marks on requests, for the place before all that depends on the route."""
    conditions = list(_conditions(entrances))
    if not conditions:
        return []
    state = state_filters(when for _, when in conditions)
    marked = simplified(Or(tuple(_carries(lane) for lane, _ in conditions)))
    again = HttpFilter(
        name="look-up-route-again", typed_config=any_of(build(SetFilterState, clear_route_cache=True))
    )
    return [
        *(HttpFilter(name=f"lane-{name}", typed_config=config) for name, config in sorted(state.items())),
        *(only_if(when, _marking(lane)) for lane, when in conditions),
        only_if(marked, again),
    ]


def _conditions(entrances: Entrances) -> Iterable[tuple[Entrance, Predicate]]:
    earlier: list[Predicate] = []
    for lane in entrances.lanes:
        when = simplified(lane.when) if lane.when is not None else NEVER
        if when != NEVER:
            yield lane, simplified(And((when, *map(Not, earlier))))
            earlier.append(when)


def _carries(lane: Entrance) -> Predicate:
    return Test(lane.mark, Exact(lane.lane))


def _marking(lane: Entrance) -> HttpFilter:
    mark = lane.mark
    if isinstance(mark, Baggage):
        header = HeaderValue(key="baggage", value=f"{mark.name}={lane.lane}".replace("%", "%%"))
    else:
        header = HeaderValue(key=mark.name, value=lane.lane)
    option = HeaderValueOption(
        header=header, append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    )
    mutations = Mutations(request_mutations=[HeaderMutation(append=option)])
    return HttpFilter(
        name=f"lane:{lane.lane}", typed_config=any_of(HeaderMutationFilter(mutations=mutations))
    )
