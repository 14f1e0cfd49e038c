"""A process that starts one program and is gone."""

from __future__ import annotations

import os
import signal

import pytest

from boxship.kernel import processes
from boxship.runtime import api
from boxship.runtime.errors import StartFailed
from boxship.shim.protocol import RuntimeChoice
from boxship.shim.starter import Job, Starter, StarterKilled


class Runtime:
    """Starts what its test says."""

    def __init__(self, run):
        self.run = run


class Host:
    def __init__(self, run):
        self._runtime = Runtime(run)

    def runtime(self, choice):
        return self._runtime

    def start_siblings(self):
        pass


@pytest.fixture
def job(tmp_path):
    (tmp_path / "config.json").write_text('{"ociVersion":"1.2.0"}')
    return Job("c", str(tmp_path), RuntimeChoice())


def gone(starter):
    return os.WEXITSTATUS(os.waitpid(starter.pid, 0)[1])


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_what_it_started_comes_back_with_its_descriptors(job):
    reading, writing = os.pipe()

    def run(request):
        os.write(request.stdio.stdout, b"here")
        return api.Init(os.getpid(), os.pidfd_open(os.getpid()), request.stdio.stdout, ("w",))

    before = descriptors()
    starter = Starter(Host(run))
    init = starter.run(job, {"stdout": writing})
    assert init.pid == starter.pid
    assert init.warnings == ("w",)
    assert os.read(reading, 10) == b"here"
    assert os.path.sameopenfile(init.terminal, writing)
    assert processes.wait(init.pidfd).si_status == 0
    os.close(init.pidfd)
    os.close(init.terminal)
    assert descriptors() == before
    os.close(reading)
    os.close(writing)


def test_a_failed_start_has_its_reason_and_its_exit_code(job):
    def run(request):
        raise StartFailed("not to be found", 127)

    before = descriptors()
    starter = Starter(Host(run))
    with pytest.raises(StartFailed, match="not to be found") as refusal:
        starter.run(job, {})
    assert refusal.value.exit_code == 127
    assert gone(starter) == 0
    assert descriptors() == before


def test_a_fault_of_its_own_is_a_failed_start(job):
    def run(request):
        raise ValueError("odd")

    starter = Starter(Host(run))
    with pytest.raises(StartFailed, match="odd"):
        starter.run(job, {})
    gone(starter)


def test_one_that_is_killed_is_noticed_at_once(job):
    def run(request):
        os.kill(os.getpid(), signal.SIGKILL)

    starter = Starter(Host(run))
    with pytest.raises(StarterKilled):
        starter.run(job, {})
    os.waitpid(starter.pid, 0)


def test_one_that_died_before_its_job_is_noticed(job):
    starter = Starter(Host(None))
    os.kill(starter.pid, signal.SIGKILL)
    os.waitpid(starter.pid, 0)
    with pytest.raises(StarterKilled):
        starter.run(job, {})
