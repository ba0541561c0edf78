"""Builds the tree of nodes of one document of YAML, before their meaning is decided."""

from __future__ import annotations

from dataclasses import dataclass, field

from yaml.error import YAMLError
from yaml.events import AliasEvent, Event, MappingStartEvent, ScalarEvent, SequenceStartEvent

from unique_k8s_job.manifest.problem import AFTER_THE_END, DEEPEST, TOO_DEEP, Location, Problem
from unique_k8s_job.manifest.scalars import joined
from unique_k8s_job.manifest.yaml_events import Events

_YAML = "tag:yaml.org,2002:"


@dataclass
class Scalar:
    """A word, or a quoted text."""

    at: Location
    text: str
    #: The tag, such as `!!int`; None if there is none.
    tag: str | None
    #: Whether it is not quoted, so that its text decides what it means.
    plain: bool


@dataclass
class List:
    """A list, with its items in their order."""

    at: Location
    items: list[Node] = field(default_factory=list)


@dataclass
class Map:
    """A map, with its keys and values in turns."""

    at: Location
    items: list[Node] = field(default_factory=list)


@dataclass
class Alias:
    """A node that stands here again."""

    at: Location
    target: Node


Node = Scalar | List | Map | Alias


def composed(text: str) -> Node | None:
    """Return the root; None for an empty document. It does not recurse: a text may be nested too deep for that.

    :raises Problem: if an alias has no anchor, or the nesting is too deep
    :raises yaml.YAMLError: if it is no YAML
    """
    events = Events(text)
    anchors: dict[str, Node] = {}
    open_nodes: list[List | Map] = []
    root: Node | None = None
    events.next_event()
    if events.ends():
        return None
    events.next_event()
    while root is None or open_nodes:
        event = events.next_event()
        at = Location.of(event.start_mark)
        node = _node(event, at, anchors)
        if node is None:
            open_nodes.pop()
            continue
        if open_nodes:
            open_nodes[-1].items.append(node)
        else:
            root = node
        if isinstance(node, (List, Map)):
            open_nodes.append(node)
            if len(open_nodes) > DEEPEST:
                raise Problem(TOO_DEEP, at)
    _end(events)
    return root


def _end(events: Events) -> None:
    """Refuse text behind the document's end, such as after `...`: kubectl drops it unread."""
    at = Location.of(events.next_event().end_mark)
    try:
        if events.ends():
            return
        at = events.location()
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = at if mark is None else Location.of(mark)
    raise Problem(AFTER_THE_END, at)


def _node(event: Event, at: Location, anchors: dict[str, Node]) -> Node | None:
    """Return the node that begins with an event; None if a node ends."""
    node: Node
    if isinstance(event, AliasEvent):
        if event.anchor not in anchors:
            raise Problem("an alias names an anchor that is not there", at)
        return Alias(at, anchors[event.anchor])
    if isinstance(event, ScalarEvent):
        node = Scalar(at, joined(event.value), _tag(event), plain=event.tag is None and event.implicit[0])
    elif isinstance(event, SequenceStartEvent):
        node = List(at)
    elif isinstance(event, MappingStartEvent):
        node = Map(at)
    else:
        return None
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _tag(event: ScalarEvent) -> str | None:
    if event.tag in (None, "!"):
        return None
    return f"!!{event.tag.removeprefix(_YAML)}" if event.tag.startswith(_YAML) else str(event.tag)
