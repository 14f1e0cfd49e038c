"""Processes that start programs, and the keeper's side of them."""

from __future__ import annotations

import os
import select
import signal

from tests.support.children import in_child

from boxship.kernel import processes
from boxship.runtime import api
from boxship.runtime.errors import StartFailed
from boxship.shim.children import Children
from boxship.shim.job import Job
from boxship.shim.loop import Loop
from boxship.shim.protocol import GO, RuntimeChoice
from boxship.shim.starters import StarterKilled, Starters


class Runtime:
    """Starts what its test says."""

    def __init__(self, run):
        self.run = run


class Host:
    def __init__(self, run):
        self._runtime = Runtime(run)

    def runtime(self, choice):
        return self._runtime

    def plans_for(self, choice):
        return True

    def start_siblings(self):
        pass


class Case:
    """A keeper with nothing but starters."""

    def __init__(self, folder):
        (folder / "config.json").write_text('{"ociVersion":"1.2.0"}')
        self.folder = str(folder)
        self.failures = []
        self.loop = Loop(self.failures.append)
        self.children = Children(self.loop)
        self.told = []

    def starters(self, run):
        return Starters(self.loop, self.children, Host(run), None, lambda title: None)

    def job(self):
        return Job("c", self.folder, RuntimeChoice())

    def run(self, starters, given):
        starters.start(self.job(), given, self.told.append)
        while not self.told:
            self.loop.turn()
        assert not self.failures
        return self.told.pop()

    def end(self, starters):
        """Have no child any more."""
        starters.close()
        while has_children():
            self.loop.turn()


def alone(story):
    """Run a test in a process that has no children but those of the test."""

    def run(folder):
        case = Case(folder)
        story(case)
        case.children.close()
        assert not case.failures

    def test(tmp_path):
        in_child(lambda: run(tmp_path))

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


@alone
def test_who_ended_before_all_that_is_pending_is_waited_for_though_something_is(case):
    """What is pending may itself wait for that."""
    first = case.children.begin()
    if not os.fork():
        os._exit(0)
    case.loop.turn()  # until it is told of the end
    second = case.children.begin()
    assert has_children()
    case.children.finish(first)
    assert not has_children()
    case.children.finish(second)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def itself(request):
    """What it starts is, for these tests, the starter itself."""
    os.write(request.stdio.stdout, b"here")
    terminal = os.dup(request.stdio.stdout)
    return api.Init(os.getpid(), os.pidfd_open(os.getpid()), terminal, ("w",))


@alone
def test_what_it_started_comes_back_with_its_descriptors(case):
    reading, writing = os.pipe()
    before = descriptors()
    starters = case.starters(itself)
    for _ in range(3):
        init = case.run(starters, {"stdout": writing})
        assert init.pid != os.getpid()
        assert init.warnings == ("w",)
        assert os.read(reading, 10) == b"here"
        assert os.path.sameopenfile(init.terminal, writing)
        os.close(init.pidfd)
        os.close(init.terminal)
    assert len(starters) == 1
    case.end(starters)
    assert descriptors() == before
    os.close(reading)
    os.close(writing)


@alone
def test_a_failed_start_has_its_reason_and_its_exit_code(case):
    def run(request):
        raise StartFailed("not to be found", 127)

    starters = case.starters(run)
    failure = case.run(starters, {})
    assert isinstance(failure, StartFailed)
    assert (str(failure), failure.exit_code) == ("not to be found", 127)
    case.end(starters)


@alone
def test_a_fault_of_its_own_is_a_failed_start(case):
    def run(request):
        raise ValueError("odd")

    starters = case.starters(run)
    assert str(case.run(starters, {})) == "odd"
    case.end(starters)


@alone
def test_one_that_is_killed_is_noticed_and_followed_by_another(case):
    def run(request):
        if request.stdio.stdout is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return itself(request)

    reading, writing = os.pipe()
    starters = case.starters(run)
    assert isinstance(case.run(starters, {}), StarterKilled)
    init = case.run(starters, {"stdout": writing})
    assert processes.is_alive(init.pid)
    for fd in (init.pidfd, init.terminal, reading, writing):
        os.close(fd)
    case.end(starters)


@alone
def test_jobs_wait_for_their_turn_with_their_descriptors(case):
    pairs = [os.pipe() for _ in range(6)]
    starters = case.starters(itself)
    for _, writing in pairs:
        starters.start(case.job(), {"stdout": writing}, case.told.append)
        os.close(writing)
    while len(case.told) < len(pairs):
        case.loop.turn()
    for init in case.told:
        os.close(init.pidfd)
        os.close(init.terminal)
    for reading, _ in pairs:
        assert os.read(reading, 10) == b"here"
        assert os.read(reading, 10) == b""
        os.close(reading)
    case.end(starters)


@alone
def test_a_program_does_not_run_before_the_word(case):
    starters = case.starters(stranger_that_ends)
    waits, word = os.pipe()
    starters.start(case.job(), {GO: waits}, lambda made: case.told.append(("waiting", made)))
    starters.start(case.job(), {}, lambda made: case.told.append(("other", made)))
    while not case.told:
        case.loop.turn()
    assert [name for name, _ in case.told] == ["other"]
    os.write(word, b"g")
    os.close(word)
    while len(case.told) < 2:
        case.loop.turn()
    both = [made for _, made in case.told]
    case.told.clear()
    again = case.run(starters, {GO: waits})  # as after a starter's death
    for init in (again, *both):
        assert isinstance(init, api.Init)
        os.close(init.pidfd)
    os.close(waits)
    case.end(starters)


@alone
def test_a_program_without_a_word_never_runs(case):
    starters = case.starters(stranger_that_ends)
    waits, word = os.pipe()
    os.close(word)
    assert isinstance(case.run(starters, {GO: waits}), StartFailed)
    os.close(waits)
    case.end(starters)


@alone
def test_who_waits_for_the_word_can_be_given_up(case):
    starters = case.starters(stranger_that_ends)
    waits, word = os.pipe()
    ticket = starters.start(case.job(), {GO: waits}, case.told.append)
    os.close(waits)
    starters.give_up(ticket)
    case.end(starters)
    assert case.told == []
    os.close(word)


@alone
def test_who_is_given_up_tells_nothing_and_ends(case):
    def run(request):
        os.read(request.stdio.stdin, 1)
        raise AssertionError

    reading, writing = os.pipe()
    starters = case.starters(run)
    tickets = [starters.start(case.job(), {"stdin": reading}, case.told.append) for _ in range(4)]
    for ticket in reversed(tickets):
        starters.give_up(ticket)
    os.close(writing)
    os.close(reading)
    case.end(starters)
    assert case.told == []


@alone
def test_what_was_told_to_who_gave_up_is_killed(case):
    starters = case.starters(stranger)
    ticket = starters.start(case.job(), {}, case.told.append)
    poll = select.poll()
    poll.register(ticket.worker.sock, select.POLLIN)
    assert poll.poll(30_000)
    starters.give_up(ticket)
    case.end(starters)  # which would take an hour
    assert case.told == []


def stranger_that_ends(request):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return api.Init(pid, os.pidfd_open(pid))


def stranger(request):
    """A program that is the starter's child, and its keeper's when that has ended."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return api.Init(pid, os.pidfd_open(pid))


@alone
def test_children_that_nobody_knows_are_waited_for_when_no_job_may_have_made_them(case):
    pending = case.children.begin()
    stray = os.fork()
    if stray == 0:
        os._exit(0)
    later = case.children.begin()
    case.children.finish(pending)
    pidfd = os.pidfd_open(stray)
    assert processes.has_ended(pidfd, 30)
    case.loop.turn()
    assert has_children()
    case.children.finish(later)
    assert not has_children()
    os.close(pidfd)


@alone
def test_a_stray_from_before_a_long_job_is_waited_for_during_it(case):
    first = case.children.begin()
    stray = os.fork()
    if stray == 0:
        os._exit(0)
    pidfd = os.pidfd_open(stray)
    assert processes.has_ended(pidfd, 30)
    case.loop.turn()
    case.children.begin()
    case.children.finish(first)
    while has_children():
        case.loop.turn()
    os.close(pidfd)


@alone
def test_an_end_is_told_once_to_who_asked(case):
    child = os.fork()
    if child == 0:
        os._exit(5)
    pidfd = os.pidfd_open(child)
    case.children.add(child, pidfd, case.told.append)
    while has_children():
        case.loop.turn()
    assert [os.waitstatus_to_exitcode(status) for status in case.told] == [5]
    os.close(pidfd)
