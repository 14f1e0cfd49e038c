from __future__ import annotations

from pathlib import Path

from boxship.system.host import thermal_counters


def test_counters_of_heat_are_found_where_processors_have_them(tmp_path: Path) -> None:
    for name in ("cpu0/thermal_throttle", "cpu10/thermal_throttle", "cpu1", "cpufreq", "cpuidle"):
        (tmp_path / name).mkdir(parents=True)
    assert thermal_counters(str(tmp_path)) == [
        f"{tmp_path}/cpu0/thermal_throttle",
        f"{tmp_path}/cpu10/thermal_throttle",
    ]
    assert thermal_counters(str(tmp_path / "none")) == []
