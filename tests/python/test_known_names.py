"""The names a task gave to its Jobs, in the store that Airflow 3.3 keeps for it; nothing depends on that store."""

from __future__ import annotations

from typing import Any

from unique_k8s_job.task.known_names import KEPT, KEY, KnownNames


class Store(dict[str, Any]):
    """What Airflow's accessor offers."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Away(Store):
    """One that does not answer."""

    def get(self, *_: Any) -> Any:
        raise RuntimeError("no answer")


def silent(text: str) -> None:
    raise AssertionError(f"warned: {text}")


def test_names_are_kept_over_tries_each_once() -> None:
    store = Store()
    for name in ("train-1", "train-2", "train-2"):
        KnownNames(store, silent).add(name)
    assert KnownNames(store, silent).names == ["train-1", "train-2"]


def test_only_the_newest_names_are_kept() -> None:
    store = Store({KEY: [f"train-{number}" for number in range(KEPT)]})
    KnownNames(store, silent).add("newest")
    assert len(store[KEY]) == KEPT
    assert store[KEY][-1] == "newest"


def test_airflow_without_a_store_knows_no_names() -> None:
    names = KnownNames(None, silent)
    names.add("train-1")
    assert names.names == []


def test_store_that_fails_is_said_once_and_not_asked_again() -> None:
    warnings: list[str] = []
    names = KnownNames(Away(), warnings.append)
    names.add("train-1")
    assert len(warnings) == 1
    assert warnings[0].endswith("RuntimeError")


def test_anything_else_under_the_key_is_no_name() -> None:
    assert KnownNames(Store({KEY: "train-1"}), silent).names == []
