"""Every state with every event: what follows, or that nothing does."""

from __future__ import annotations

import pytest

from boxship.container.lifecycle import NEXT, Event, State, after
from boxship.errors import Conflict

S, E = State, Event
# Written out and not taken from the table that it is compared with.
FOLLOWS = {
    (S.CREATED, E.STARTED): S.RUNNING,
    (S.CREATED, E.START_FAILED): S.CREATED,
    (S.CREATED, E.REMOVAL_BEGUN): S.REMOVING,
    (S.RUNNING, E.PAUSED): S.PAUSED,
    (S.RUNNING, E.EXITED): S.EXITED,
    (S.RUNNING, E.RESTART_PLANNED): S.RESTARTING,
    (S.PAUSED, E.RESUMED): S.RUNNING,
    (S.PAUSED, E.EXITED): S.EXITED,
    (S.PAUSED, E.RESTART_PLANNED): S.RESTARTING,
    (S.RESTARTING, E.STARTED): S.RUNNING,
    (S.RESTARTING, E.START_FAILED): S.EXITED,
    (S.RESTARTING, E.RESTART_PLANNED): S.RESTARTING,
    (S.RESTARTING, E.RESTART_DROPPED): S.EXITED,
    (S.RESTARTING, E.REMOVAL_BEGUN): S.REMOVING,
    (S.EXITED, E.STARTED): S.RUNNING,
    (S.EXITED, E.START_FAILED): S.EXITED,
    (S.EXITED, E.REMOVAL_BEGUN): S.REMOVING,
    (S.REMOVING, E.REMOVAL_BEGUN): S.REMOVING,
    (S.REMOVING, E.REMOVAL_FAILED): S.DEAD,
    (S.DEAD, E.REMOVAL_BEGUN): S.REMOVING,
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_each_pair_has_one_outcome(state: State, event: Event) -> None:
    if (state, event) in FOLLOWS:
        assert after(state, event) is FOLLOWS[state, event]
    else:
        with pytest.raises(Conflict, match=f"that is {state} cannot be {event}"):
            after(state, event)


def test_only_what_runs_has_a_process() -> None:
    assert {state for state in State if state.has_process} == {S.RUNNING, S.PAUSED}


def test_a_process_comes_by_a_start_and_goes_by_an_end() -> None:
    for (state, event), follows in FOLLOWS.items():
        if not state.has_process and follows.has_process:
            assert event is E.STARTED
        if state.has_process and not follows.has_process:
            assert event in (E.EXITED, E.RESTART_PLANNED)


def test_every_state_can_be_reached_and_all_but_the_last_can_be_removed() -> None:
    reached, edge = {S.CREATED}, {S.CREATED}
    while edge:
        edge = {there for state in edge for there in NEXT[state].values()} - reached
        reached |= edge
    assert reached == set(State)
    assert {s for s in State if E.REMOVAL_BEGUN in NEXT[s]} == set(State) - {S.RUNNING, S.PAUSED}
