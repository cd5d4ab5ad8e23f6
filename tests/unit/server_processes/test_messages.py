"""What a serving process and the compiling one tell each other."""

from xds.server import Peer
from xds.server_processes.messages import Ask, decode_up, encode
from xds.wire import Node


def test_the_certificate_of_a_client_with_the_longest_serial_number_is_told() -> None:
    """RFC 5280, 4.1.2.2: up to 20 octets."""
    peer = Peer("ipv4:192.0.2.1:1", (), ("CN=authority", f"{2**159 - 1:x}"))
    asked = Ask(1, Node(id="edge-1"), peer)
    assert decode_up(encode(asked)) == asked
