"""Processes of the `stgan` command that need not load its libraries anew: each is forked from one that has them.

Run as a script. A line of JSON on standard input starts a process, and its id comes back; an empty line waits for
the last one that is still running, and its exit status (negative: the signal that ended it) comes back.
"""

import json
import os
import pkgutil
import resource
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module

import stgan
from stgan.cli.main import main

for module in pkgutil.walk_packages(stgan.__path__, "stgan."):  # this is what takes the time
    with suppress(ModuleNotFoundError, RuntimeError):  # of an extra that is not installed, or does not fit torch
        import_module(module.name)


def child(request: dict) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts jobs in the background with SIGINT ignored
        signal.signal(number, signal.SIG_DFL)
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    for target, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), target)
    if request["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"],) * 2)
    sys.argv = ["stgan", *request["arguments"]]
    status = 1
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)  # without tidying up the memory, which would take longer than most commands


running: list[int] = []
for line in sys.stdin:
    if line.strip():
        process = os.fork()
        if process == 0:
            child(json.loads(line))
        running.append(process)
        print(process, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(running.pop(), 0)[1]), flush=True)
os._exit(0)
