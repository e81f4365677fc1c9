"""A message's frame is the one that websockets would write."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from streaming_server.frame_head import frame_head


@pytest.mark.parametrize("num_bytes", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_head_tells_the_length_in_as_few_bytes_as_hold_it(opcode: Opcode, num_bytes: int) -> None:
    payload = bytes(num_bytes)
    assert frame_head(opcode, num_bytes) + payload == Frame(opcode, payload).serialize(mask=False)
