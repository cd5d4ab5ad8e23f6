"""Where the log goes."""

import errno
import io

from xds.logs import LossyStream


class Disk(io.StringIO):
    """A file on a disk that may be full."""

    is_full = False

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else() -> None:
    disk = Disk()
    stream = LossyStream(disk)
    print("one", file=stream, flush=True)
    disk.is_full = True
    stream.write("two\n")
    stream.write("three\n")
    disk.is_full = False
    stream.write("four\n")
    assert disk.getvalue() == "one\ngrayplane: the log could not be written, 2 times\nfour\n"
