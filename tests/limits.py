"""Runs code in a process of its own that may take little memory: a small file must not fill the machine."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
ROOM = 2 * 10**9
"""Bytes that the process may take beyond what its imports took."""
LIMITED = """
import resource, sys
from pathlib import Path
from vad import VadError
{imports}
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + {room}, taken + {room}))
path = Path(sys.argv[1])
try:
    {code}
except VadError as error:
    print(error)
"""


def limited(imports: str, code: str, path: Path, room: int = ROOM) -> str:
    """What `code` prints of the file `path`, its VadError included, in `room` bytes. It must end, and well."""
    script = LIMITED.format(imports=imports, code=code, room=room)
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=TOP, text=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.strip()
