"""The registry: built-ins through hooks, third-party plugins, and their faults."""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from tomokit.errors import PluginError
from tomokit.plugin import hookspecs
from tomokit.plugin.hookspecs import hookimpl
from tomokit.plugin.manager import build_registry, get_registry

DOCS = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"


@dataclass(frozen=True)
class NoOptions:
    """None."""


def make_method(method_name: str, **attributes: object) -> type:
    whole = {
        "name": method_name,
        "summary": f"method {method_name}",
        "Options": NoOptions,
        "start": lambda self, problem, options: None,
        "estimate_bytes": lambda self, shape, options: 0,
    }
    return type("Made", (), {key: value for key, value in {**whole, **attributes}.items() if value is not None})


def make_plugin(name: str, *methods: type, hook: str = "tomokit_register_methods") -> types.ModuleType:
    plugin = types.ModuleType(name)

    def implementation(register):  # type: ignore[no-untyped-def]
        for method in methods:
            register(method)

    implementation.__name__ = hook
    setattr(plugin, hook, hookimpl(implementation))
    return plugin


class Dist:
    def __init__(self, name: str, version: str) -> None:
        self.name, self.version = name, version


class EntryPoint:
    """What the manager uses of an entry point: a name, a distribution, and a way to load it."""

    def __init__(self, dist: str, plugin: object, version: str = "1.0") -> None:
        self.name, self.dist, self._plugin = dist, Dist(dist, version), plugin

    def load(self) -> object:
        if isinstance(self._plugin, BaseException):
            raise self._plugin
        return self._plugin


def registry_of(*entry_points: EntryPoint):  # type: ignore[no-untyped-def]
    return build_registry(lambda chosen, registry: entry_points, None)


def test_built_ins_come_through_hooks_with_their_origin() -> None:
    entries = {(entry.kind, entry.name): entry for entry in registry_of().entries()}
    assert ("reader", "mrc") in entries
    assert {entry.origin for entry in entries.values()} == {"tomokit"}
    assert sum(kind == "method" for kind, _ in entries) >= 1
    assert registry_of().refused == []


def test_a_third_party_method_is_found_with_origin_and_version() -> None:
    method = make_method("sharp")
    registry = registry_of(EntryPoint("tomo-sharp", make_plugin("p", method), "2.3"))
    assert registry.get("method", "sharp") is method
    entry = next(entry for entry in registry.entries(("method",)) if entry.name == "sharp")
    assert (entry.origin, entry.version) == ("tomo-sharp", "2.3")


def test_a_duplicate_is_refused_by_name_and_the_first_stays() -> None:
    first, second, other = make_method("twice"), make_method("twice"), make_method("other")
    registry = registry_of(
        EntryPoint("dist-a", make_plugin("a", first)), EntryPoint("dist-b", make_plugin("b", second, other), "9")
    )
    assert registry.get("method", "twice") is first
    assert registry.get("method", "other") is other
    (refusal,) = registry.refused
    assert (refusal.origin, refusal.kind, refusal.name) == ("dist-b", "method", "twice")
    assert "dist-a 1.0" in refusal.problem
    assert "dist-b 9" in refusal.problem


def test_a_built_in_keeps_its_name() -> None:
    built_in = registry_of().entries(("method",))[0]
    registry = registry_of(EntryPoint("thief", make_plugin("t", make_method(built_in.name))))
    assert registry.get("method", built_in.name) is built_in.target
    assert [refusal.origin for refusal in registry.refused] == ["thief"]


@pytest.mark.parametrize(
    "broken",
    [ImportError("no module named lost"), SystemExit(3), RuntimeError("at import")],
    ids=["import", "exit", "error"],
)
def test_a_plugin_that_does_not_load_is_recorded_and_the_rest_goes_on(broken: BaseException) -> None:
    method = make_method("fine")
    registry = registry_of(EntryPoint("broken", broken), EntryPoint("good", make_plugin("g", method)))
    assert registry.get("method", "fine") is method
    (refusal,) = registry.refused
    assert refusal.origin == "broken"
    assert type(broken).__name__ in refusal.problem


def test_a_hook_that_fails_is_recorded() -> None:
    plugin = types.ModuleType("fails")

    @hookimpl
    def tomokit_register_methods(register):  # type: ignore[no-untyped-def]
        raise KeyError("lost")

    plugin.tomokit_register_methods = tomokit_register_methods  # type: ignore[attr-defined]
    (refusal,) = registry_of(EntryPoint("fails", plugin)).refused
    assert (refusal.origin, refusal.kind) == ("fails", "method")


def test_a_misspelt_hook_is_recorded_and_later_plugins_are_taken() -> None:
    wrong = make_plugin("w", make_method("lost"), hook="tomokit_register_metods")
    registry = registry_of(EntryPoint("wrong", wrong), EntryPoint("good", make_plugin("g", make_method("fine"))))
    assert "fine" in registry.names("method")
    assert "lost" not in registry.names("method")
    assert [refusal.origin for refusal in registry.refused] == ["wrong"]
    assert "tomokit_register_metods" in registry.refused[0].problem


@pytest.mark.parametrize("missing", ["name", "summary", "Options", "start", "estimate_bytes"])
def test_a_method_without_what_it_needs_is_refused(missing: str) -> None:
    method = make_method("partly", **{missing: None})
    registry = registry_of(EntryPoint("d", make_plugin("p", method)))
    assert "partly" not in registry.names("method")
    assert len(registry.refused) == 1


@dataclass(frozen=True)
class Weight:
    weight: float = 0.0


@pytest.mark.parametrize(
    ("kind", "attributes", "said"),
    [
        ("regularizer", {"Options": Weight}, "no `value_and_gradient`"),
        ("regularizer", {"Options": Weight, "value_and_gradient": None}, "no option `every`"),
        ("optimizer", {"Options": Weight, "state_arrays": None}, "no `step`"),
        ("optimizer", {"Options": Weight, "state_arrays": None, "step": None}, "no option `lr`"),
        ("reader", {"suffixes": (".x",), "shape": None}, "no `read`"),
        ("command", {}, "no `function`"),
    ],
)
def test_what_lacks_something_is_refused_by_name(kind: str, attributes: dict[str, object], said: str) -> None:
    thing = type("Partly", (), {"name": "partly", "summary": "something", **attributes})
    registry = registry_of(EntryPoint("d", make_plugin("p", thing, hook=f"tomokit_register_{kind}s")))
    assert "partly" not in registry.names(kind)
    (refusal,) = registry.refused
    assert (refusal.origin, refusal.kind, refusal.name) == ("d", kind, "partly")
    assert said in refusal.problem


def test_underscores_of_settings_find_hyphens_of_names() -> None:
    registry = registry_of(EntryPoint("d", make_plugin("p", make_method("two-words"))))
    assert registry.get("method", "two_words") is registry.get("method", "two-words")


@pytest.mark.parametrize("name", ["", "Upper", "a b", "-a", "a--b", "a_b", 3])
def test_a_name_that_cannot_be_typed_is_refused(name: object) -> None:
    registry = registry_of(EntryPoint("d", make_plugin("p", make_method("x", name=name))))
    assert len(registry.refused) == 1


def test_asking_for_an_unknown_name_gives_the_nearest_and_names_what_was_not_loaded() -> None:
    registry = registry_of(
        EntryPoint("broken-dist", ImportError("x")), EntryPoint("d", make_plugin("p", make_method("wobble")))
    )
    with pytest.raises(PluginError, match=r"'woble'.*broken-dist.*did you mean wobble") as caught:
        registry.get("method", "woble")
    assert "\n" not in str(caught.value)


class TestIsolation:
    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        points = [
            EntryPoint("Tomo_One", make_plugin("1", make_method("one"))),
            EntryPoint("tomo-two", make_plugin("2", make_method("two"))),
        ]
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == "tomokit" else [])
        get_registry.cache_clear()

    @pytest.fixture(autouse=True)
    def fresh(self):  # type: ignore[no-untyped-def]
        yield
        get_registry.cache_clear()

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, {"one", "two"}),
            ("", set()),
            (" ", set()),
            ("tomo-one", {"one"}),
            ("tomo.two,tomo-one", {"one", "two"}),
        ],
    )
    @pytest.mark.usefixtures("found")
    def test_the_variable_chooses(self, monkeypatch: pytest.MonkeyPatch, value: str | None, expected: set[str]) -> None:
        if value is None:
            monkeypatch.delenv("TOMOKIT_LOAD_PLUGINS", raising=False)
        else:
            monkeypatch.setenv("TOMOKIT_LOAD_PLUGINS", value)
        assert set(get_registry().names("method")) & {"one", "two"} == expected

    @pytest.mark.usefixtures("found")
    def test_a_name_that_is_not_installed_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOMOKIT_LOAD_PLUGINS", "tomo-three")
        assert [refusal.origin for refusal in get_registry().refused] == ["tomo-three"]

    def test_the_registry_is_built_once(self) -> None:
        assert get_registry() is get_registry()


def hooks() -> list[str]:
    return sorted(name for name in dir(hookspecs) if name.startswith("tomokit_"))


def test_there_are_the_five_hooks() -> None:
    assert hooks() == sorted(hook.__name__ for hook in hookspecs.HOOK_OF_KIND.values())
    assert len(hooks()) == 5


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_and_argument_is_documented(hook: str) -> None:
    function = getattr(hookspecs, hook)
    sections = re.split(r"^### ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = (text for text in sections if text.startswith(f"`{hook}`"))
    for argument in inspect.signature(function).parameters:
        assert f"- `{argument}`:" in section
        assert re.search(rf"^\s*{argument} :", function.__doc__, flags=re.MULTILINE)
