"""Cycles, and what the garbage collector needs to break them.

Up to PyO3 0.29 an instance did not show the collector the reference to its class, so a class made
by Python over a class with ``__traverse__`` was lost when one of its instances hung on it.
"""

import gc
import weakref

import leakgrid_probe as probe


class PythonNode(probe.Node):
    """Python's own subclass of a class with a GC protocol."""


def collected(reference):
    gc.collect()
    return reference() is None


def test_node_without_a_cycle():
    node = probe.Node()
    node.next = ["a list"]
    assert node.next == ["a list"]


def test_node_that_refers_to_itself():
    node = probe.Node()
    node.next = node
    reference = weakref.ref(node)
    del node
    assert collected(reference)


def test_two_nodes_in_a_ring():
    first, second = probe.Node(), probe.Node()
    first.next, second.next = second, first
    reference = weakref.ref(first)
    del first, second
    assert collected(reference)


def test_many_nodes_in_a_ring():
    nodes = [probe.Node() for _ in range(10)]
    for node, following in zip(nodes, nodes[1:] + nodes[:1]):
        node.next = following
    references = [weakref.ref(node) for node in nodes]
    del nodes, node, following
    gc.collect()
    assert all(reference() is None for reference in references)


def test_cycle_through_a_vector():
    node = probe.Node()
    for _ in range(3):
        node.push(node)
    assert len(node) == 3
    reference = weakref.ref(node)
    del node
    assert collected(reference)


def test_cycle_through_a_python_list():
    node = probe.Node()
    node.next = [node]
    reference = weakref.ref(node)
    del node
    assert collected(reference)


def test_cycle_through_a_bound_method():
    node = probe.Node()
    node.next = node.push
    reference = weakref.ref(node)
    del node
    assert collected(reference)


def test_cycle_through_a_python_subclass():
    node = PythonNode()
    node.attribute = node
    node.next = node
    reference = weakref.ref(node)
    del node
    assert collected(reference)


def test_cycle_that_only_the_other_side_breaks():
    holder = []
    node = probe.ClearlessNode(holder)
    holder.append(node)
    reference = weakref.ref(node)
    del holder, node
    assert collected(reference)


def test_cycle_through_the_base_class():
    child = probe.NodeChild()
    child.upper = child
    reference = weakref.ref(child)
    del child
    assert collected(reference)


def test_cycle_through_the_derived_class():
    child = probe.NodeChild()
    child.lower = child
    reference = weakref.ref(child)
    del child
    assert collected(reference)


def test_base_and_derived_class_own_an_object_each():
    child = probe.NodeChild()
    child.upper, child.lower = ["upper"], ["lower"]
    assert child.upper + child.lower == ["upper", "lower"]


def test_collector_sees_what_a_node_refers_to():
    item = ["an item"]
    node = probe.Node()
    node.push(item)
    assert item in gc.get_referents(node)


# The next tests make a class each time and collect it at once: else the bases would keep room for
# all the classes that are still waiting, which looks like growth.


def test_class_made_by_python_is_dropped_with_its_instance():
    local = type("Local", (probe.Node,), {})
    assert local().next is None
    del local
    gc.collect()


def test_instance_that_hangs_on_its_python_class():
    local = type("Local", (probe.Node,), {})
    local.only = local()
    assert isinstance(local.only, probe.Node)
    del local
    gc.collect()


def test_instance_that_refers_to_its_python_class():
    local = type("Local", (probe.Node,), {})
    local.only = node = local()
    node.next = local
    assert local.only.next is local
    del local, node
    gc.collect()


def test_python_class_over_a_class_without_a_gc_protocol():
    local = type("Local", (probe.Base,), {})
    local.only = local("hanging on its class")
    assert local.only.whoami() == "base of hanging on its class"
    del local
    gc.collect()
