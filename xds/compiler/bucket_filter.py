"""The filter of an edge that sets the bucket header (``xds.routing.buckets``).

Envoy hashes (xxHash64) to choose a cluster and tells nobody what came out, so a script does it once more.
"""

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.core.v3 import DataSource, TypedExtensionConfig
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    HeaderMutation as EarlyHeaderMutation,
)

from xds.routing.buckets import BUCKET_HEADER
from xds.routing.splits import TOTAL
from xds.wire import any_of, build

# Names and steps are those of the xxHash specification. Lines of one header are hashed in order, each with
# the hash of the one before as seed, as Envoy does.
_SCRIPT = """\
local ffi, bit = require("ffi"), require("bit")
local rol, xor, shift = bit.rol, bit.bxor, bit.rshift
local P1, P2, P3 = 0x9E3779B185EBCA87ULL, 0xC2B2AE3D27D4EB4FULL, 0x165667B19E3779F9ULL
local P4, P5 = 0x85EBCA77C2B2AE63ULL, 0x27D4EB2F165667C5ULL

local function lane(at) return ffi.cast("const uint64_t *", at)[0] end
local function round(sum, word) return rol(sum + word * P2, 31) * P1 end
local function merged(hash, sum) return xor(hash, round(0ULL, sum)) * P1 + P4 end

local function xxh64(text, seed)
  local bytes, size, at, hash = ffi.cast("const uint8_t *", text), #text, 0, seed + P5
  if size >= 32 then
    local a, b, c, d = seed + P1 + P2, seed + P2, seed, seed - P1
    repeat
      a, b = round(a, lane(bytes + at)), round(b, lane(bytes + at + 8))
      c, d = round(c, lane(bytes + at + 16)), round(d, lane(bytes + at + 24))
      at = at + 32
    until at > size - 32
    hash = rol(a, 1) + rol(b, 7) + rol(c, 12) + rol(d, 18)
    hash = merged(merged(merged(merged(hash, a), b), c), d)
  end
  hash = hash + size
  while at + 8 <= size do
    hash = rol(xor(hash, round(0ULL, lane(bytes + at))), 27) * P1 + P4
    at = at + 8
  end
  if at + 4 <= size then
    hash = rol(xor(hash, ffi.cast("const uint32_t *", bytes + at)[0] * P1), 23) * P2 + P3
    at = at + 4
  end
  while at < size do
    hash = rol(xor(hash, bytes[at] * P5), 11) * P1
    at = at + 1
  end
  hash = xor(hash, shift(hash, 33)) * P2
  hash = xor(hash, shift(hash, 29)) * P3
  return xor(hash, shift(hash, 32))
end

function envoy_on_request(handle)
  local headers, lines = handle:headers(), {}
  for number = 1, headers:getNumValues("%(identity)s") do
    lines[number] = headers:getAtIndex("%(identity)s", number - 1)
  end
  if #lines == 0 then return end
  table.sort(lines)
  local hash = 0ULL
  for _, line in ipairs(lines) do hash = xxh64(line, hash) end
  headers:replace("%(header)s", string.format("%%d", tonumber(hash %% %(total)dULL)))
end
"""


def bucket_stripping() -> TypedExtensionConfig:
    """Build what takes the header from outside away."""
    mutation = EarlyHeaderMutation(mutations=[HeaderMutation(remove=BUCKET_HEADER)])
    return TypedExtensionConfig(name="strip-bucket", typed_config=any_of(mutation))


def bucket_filter(identity: str) -> HttpFilter:
    """Build the filter that sets the header on requests with the header ``identity``.

    The route is looked up again then: rules may match on buckets at the edge, too.
    """
    script = _SCRIPT % {"identity": identity, "header": BUCKET_HEADER, "total": TOTAL}
    lua = build(Lua, default_source_code=build(DataSource, inline_string=script))
    return HttpFilter(name="bucket", typed_config=any_of(lua))
