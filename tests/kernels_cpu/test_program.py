"""Programs: levels and nodes, host calls in order, growth, errors, and what Python threads and forks may do."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from numbanet.kernels.array import Array
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu import driver, program, replay
from numbanet.kernels.cpu.arguments import unpack, workspace
from tests.kernels_cpu.device import Row, kernel_for_test
from tests.kernels_cpu.helpers import child, run_child

BACKEND = load_backend("cpu")


_alive: list[Array] = []


@pytest.fixture(autouse=True)
def _arrays_live_as_long_as_the_test():
    """A program holds addresses, not the arrays: those are its caller's."""
    yield
    _alive.clear()


def shared(values: np.ndarray) -> Array:
    _alive.append(BACKEND.from_buffer(values))
    return _alive[-1]


def array(size: int, value: float = 0) -> Array:
    return shared(np.full(size, value, np.float32))


@kernel_for_test
def add_one(start, stop, row, scratch):
    """out[task] = x[task] + 1, by way of the thread's scratch memory."""
    p = unpack(row, Row)
    memory = workspace(row, scratch)
    for task in range(start, stop):
        memory[0] = p.x[task]
        p.out[task] = memory[0] + np.float32(1)
    return 0


@kernel_for_test
def count_up(start, stop, row, scratch):
    """out[task] += 1."""
    p = unpack(row, Row)
    for task in range(start, stop):
        p.out[task] += np.float32(1)
    return 0


@kernel_for_test
def make_an_array(start, stop, row, scratch):
    return int(np.zeros(stop)[start])


@kernel_for_test
def make_a_list(start, stop, row, scratch):
    return [start, stop][start]


@kernel_for_test
def fail_at(start, stop, row, scratch):
    """out[task] = 1, and status 3 at index n for the task n."""
    p = unpack(row, Row)
    for task in range(start, stop):
        p.out[task] = np.float32(1)
        if task == p.n:
            return 3 | p.n << 8
    return 0


def append_add(run, out, x, tasks, **options):
    run.append(add_one, tasks, Row(out, x, None, None, None), scratch=1, **options)


@pytest.mark.parametrize("which", [make_an_array, make_a_list], ids=["array", "list"])
def test_objects_are_refused(which):
    """Nobody would free them."""
    with pytest.raises(Exception, match="a kernel holds numbers, vectors and pointers, and no (array|list)"):
        which.address  # noqa: B018 - compiles it


# --- levels ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_levels_follow_each_other(thread_counts, chunk):
    """A chain of levels, each of which reads what all tasks of the one before wrote, in reverse."""
    run, chain = BACKEND.program(), [array(100) for _ in range(9)]
    for x, out in itertools.pairwise(chain):
        append_add(run, out, x, 100, chunk=chunk)
    for time in range(3):
        chain[0].numpy()[...] = np.arange(100) + time
        run.run()
        np.testing.assert_array_equal(chain[-1].numpy(), np.arange(100) + time + 8)


def test_nodes_of_a_level(thread_counts):
    """Several nodes in one level, then one level that needs them all."""
    run, parts = BACKEND.program(), [array(n) for n in (1, 50, 7, 1)]
    for i, part in enumerate(parts):
        append_add(run, part, array(part.size, i), part.size, same_level=i > 0)
    results = [array(part.size) for part in parts]
    for i, (part, result) in enumerate(zip(parts, results, strict=True)):
        append_add(run, result, part, part.size, same_level=i > 0)
    assert (run.nodes, run._levels) == (8, 2)
    run.run()
    for i, result in enumerate(results):
        assert (result.numpy() == i + 2).all()


def wrong_counts() -> list[tuple[int, int, int]]:
    """Run nodes of any number of tasks and chunks, with fewer threads, as many as there are ranges, and more: the
    (threads, tasks, chunk) with which some task was not done once in a run."""
    from numbanet.kernels import threads

    wrong = []
    for number in (1, 2, 3, driver.RANGES, driver.RANGES + 5):
        threads.set_num_threads(number)
        for tasks in (1, 2, 15, 16, 17, 97, 1000):
            for chunk in (1, 2, 7, 64, 999, 1000):
                run, outs = BACKEND.program(), [array(tasks) for _ in range(3)]
                for node, out in enumerate(outs):
                    run.append(
                        count_up, tasks, Row(out, None, None, None, None), chunk=chunk, scratch=1, same_level=node == 1
                    )
                run.run()
                table = run.finished_table()
                table.choose(0, table.levels)
                replay.replay(table, 1, True, one_region=True)
                if not all((out.numpy() == 2).all() for out in outs):
                    wrong.append((number, tasks, chunk))
    return wrong


def test_every_task_is_done_once():
    """Whatever a thread's own range is, and whoever takes what is left of it; in a process with enough threads."""
    code = "from tests.kernels_cpu.test_program import wrong_counts; print(wrong_counts())"
    assert run_child(code, NUMBA_NUM_THREADS=str(driver.RANGES + 5)).strip() == "[]"


def test_no_tasks_is_no_row():
    run, out = BACKEND.program(), array(3)
    append_add(run, out, out, 0)
    run.run()
    assert run.nodes == 0
    assert not out.numpy().any()


def test_an_empty_first_parameter_does_not_join_the_level_before():
    """The update must wait for what computes its gradient, although its own first row is left out."""
    run, gradient = BACKEND.program(), array(5)
    append_add(run, gradient, array(5, 1), 5)
    hyper = shared(np.array([1, 0, 0, 0, 0, 0], np.float32))
    first, second = array(0), array(5, 10)
    run.sgd_update((first, second), (array(0), gradient), (), hyper)
    assert (run.nodes, run._levels) == (2, 2)
    run.run()
    assert (second.numpy() == 8).all()


@pytest.mark.parametrize("rows", [program.FIRST_NODES - 3, 3 * program.FIRST_NODES])
def test_the_table_grows(rows, two_threads):
    run, values = BACKEND.program(), array(2)
    for _ in range(rows):
        append_add(run, values, values, 2)
    assert run._words.size * 8 >= rows * add_one.writer.size
    run.run()
    assert values.numpy().tolist() == [rows, rows]
    run.clear()
    run.run()
    assert values.numpy().tolist() == [rows, rows]


def test_rows_longer_than_the_table(monkeypatch):
    monkeypatch.setattr(program, "FIRST_WORDS", 2)
    run, values = BACKEND.program(), array(2)
    append_add(run, values, values, 2)
    run.run()
    assert values.numpy().tolist() == [1, 1]


# --- host calls --------------------------------------------------------------------------------------------------
def test_host_calls_keep_their_place(thread_counts):
    """out = ((0 + 1) · 2 + 1) · 3: rows and host calls in turn."""
    run, values = BACKEND.program(), array(40)

    def times(out, factor):
        out *= factor

    for factor in (2, 3):
        append_add(run, values, values, 40)
        run.host("times", times, (values,), {"factor": factor}, "a test")
    assert run.host_reasons == [("times", "a test")] * 2
    run.run()
    assert (values.numpy() == 9).all()
    run.clear()
    assert run.host_reasons == []


DECLINED = {
    "dtypes float64, float64": lambda p, a: p.matmul(*(a((2, 2), np.float64) for _ in range(3))),
    "an empty sum": lambda p, a: p.matmul(a((2, 2)), a((2, 0)), a((0, 2))),
}


@pytest.mark.filterwarnings("ignore:float64 runs on the NumPy kernels")
@pytest.mark.parametrize("reason", DECLINED)
def test_what_no_kernel_takes_is_a_host_call(reason):
    """The call says why, and gives the values of the NumPy back end."""
    results = []
    for backend in (BACKEND, load_backend("numpy")):
        random, made, run = np.random.default_rng(0), [], backend.program()

        def make(shape, dtype=np.float32, backend=backend, random=random, made=made):
            made.append(backend.from_buffer(random.random(shape).astype(dtype)))
            return made[-1]

        DECLINED[reason](run, make)
        if backend is BACKEND:
            assert [why for _, why in run.host_reasons] == [reason]
        run.run()
        results.append(made[0].numpy())
    np.testing.assert_array_equal(*results)


def test_recording_runs_nothing():
    out = array(3)
    with BACKEND.recording() as kernels:
        run = BACKEND.program()
        run.fill(out, 5)
        run.host("boom", lambda: 1 / 0, (), {}, "a test")
        run.run()
    assert {kernel.name for kernel in kernels} == {"constant"}
    assert not out.numpy().any()


# --- errors ------------------------------------------------------------------------------------------------------
def test_a_status_becomes_the_rows_exception(thread_counts):
    """The level is finished or not, later levels and host calls are not begun, and the program can run again."""
    run, out, later = BACKEND.program(), array(64), array(64)
    run.append(
        fail_at, 64, Row(out, None, None, None, None, 41),
        on_error=lambda code, index: LookupError(f"code {code} at {index}"),
    )  # fmt: skip
    append_add(run, later, later, 64)
    run.host("never", lambda: 1 / 0, (), {}, "a test")
    for _ in range(2):
        with pytest.raises(LookupError, match="code 3 at 41"):
            run.run()
        assert not later.numpy().any()
        assert not run._status.any()
    run.clear()
    append_add(run, later, later, 64)
    run.run()
    assert (later.numpy() == 1).all()


def test_a_status_that_nobody_explains():
    run = BACKEND.program()
    append_add(run, array(1), array(1), 1)
    run.append(fail_at, 1, Row(array(1), None, None, None, None, 0))
    with pytest.raises(RuntimeError, match="node 1 stopped with status 3"):
        run.run()


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_backward"])
def test_the_first_wrong_target_is_named(name, thread_counts):
    """Whichever thread meets which: the message is the NumPy back end's."""
    random = np.random.default_rng(0)
    logits, target = random.random((5000, 7)).astype(np.float32), random.integers(0, 7, 5000)
    target[[1234, 1300, 4999]] = 7, -1, 12
    messages = []
    for backend in (BACKEND, load_backend("numpy")):
        lse, zeros = np.zeros(5000, np.float32), np.zeros_like(logits)
        made = [backend.from_buffer(a) for a in (np.ones(5000, np.float32), logits, target, lse, zeros)]
        run = backend.program()
        if name == "cross_entropy":
            run.cross_entropy(made[0], made[3], made[1], made[2], None, "none", -100, 0.0)
        else:
            run.cross_entropy_backward(made[4], made[0], made[1], made[3], made[2], None, "none", -100, 0.0)
        with pytest.raises(IndexError) as error:
            run.run()
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "target 7 of row 1234 is out of range" in messages[0]


# --- Python threads and forks ------------------------------------------------------------------------------------
def busy_program(seed: int):
    """A program of many parallel levels with scratch, its result and what that must be."""
    random = np.random.default_rng(seed)
    a, b = (random.standard_normal((130, 130)).astype(np.float32) for _ in range(2))
    run, x = BACKEND.program(), shared(random.standard_normal((2, 3, 20, 20)).astype(np.float32))
    weight = shared(random.standard_normal((8, 3, 3, 3)).astype(np.float32))
    product, picture = shared(np.zeros_like(a)), shared(np.zeros((2, 8, 18, 18), np.float32))
    for _ in range(5):
        run.matmul(product, shared(a), shared(b))
        run.conv2d(picture, x, weight, None, (1, 1), (0, 0), (1, 1), 1)
    return run, product, picture


def test_replays_from_several_python_threads(two_threads):
    """Who finds the layer taken runs on one thread; everybody's results are right."""
    programs = [busy_program(seed) for seed in range(4)]
    expected = []
    for run, product, picture in programs:
        run.run()
        expected.append((product.numpy().tobytes(), picture.numpy().tobytes()))
    wrong, barrier = [], threading.Barrier(len(programs))

    def replay(number):
        run, product, picture = programs[number]
        barrier.wait()
        for _ in range(30):
            product.numpy()[...] = picture.numpy()[...] = np.nan
            run.run()
            if (product.numpy().tobytes(), picture.numpy().tobytes()) != expected[number]:
                wrong.append(number)

    workers = [threading.Thread(target=replay, args=(number,)) for number in range(len(programs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_while_another_thread_is_parallel_replays_are_serial(two_threads, monkeypatch):
    run, product, _ = busy_program(0)
    run.run()
    expected = product.numpy().copy()
    product.numpy()[...] = 0
    monkeypatch.setattr(driver.PARALLEL, "_entry", lambda *args: pytest.fail("the layer is taken"))
    with replay._parallel_lock:
        run.run()
    np.testing.assert_array_equal(product.numpy(), expected)


def test_parallel_replays_use_the_parallel_driver(two_threads, monkeypatch):
    """The test above sees the serial driver only because the lock is held."""
    run, _, _ = busy_program(0)
    calls = []
    parallel = driver.PARALLEL.run
    monkeypatch.setattr(driver.PARALLEL, "_entry", lambda *args: calls.append(1) or parallel(*args))
    run.run()
    assert calls


FORK = """
import os, sys
import numpy as np
from numbanet.kernels import threads
threads.set_num_threads(2)
from tests.kernels_cpu.test_program import busy_program
run, product, _ = busy_program(0)
run.run()
expected = product.numpy().copy()
child = os.fork()
if child == 0:
    product.numpy()[...] = 0
    run.run()
    print("child", (product.numpy() == expected).all(), flush=True)
    sys.exit(7)
status = os.waitpid(child, 0)[1]
product.numpy()[...] = 0
run.run()
print("parent", os.waitstatus_to_exitcode(status), (product.numpy() == expected).all())
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system cannot fork")
def test_a_forked_child_computes():
    """OpenMP's threads do not survive a fork; the child runs on one thread and ends as it wants."""
    assert run_child(FORK).split("\n")[:2] == ["child True", "parent 7 True"]


def test_spawned_children_are_parallel_again():
    assert child("from tests.kernels_cpu.test_program import busy_program; busy_program(0)[0].run()").returncode == 0


# --- the driver's table ------------------------------------------------------------------------------------------
def test_more_threads_than_the_layer_has():
    """Five threads asked for on two cores: five slices of scratch, whoever does their work."""
    from numbanet.kernels import threads

    before = threads.get_num_threads()
    run, product, picture = busy_program(1)
    run.run()
    expected = product.numpy().tobytes(), picture.numpy().tobytes()
    try:
        threads.set_num_threads(5)
        run.run()
    finally:
        threads.set_num_threads(before)
    assert (product.numpy().tobytes(), picture.numpy().tobytes()) == expected


# --- one region for all levels ---------------------------------------------------------------------------------------
def chain_of(levels: int, tasks: int):
    """A finished table of levels that add one to what the level before wrote."""
    run, chain = BACKEND.program(), [array(tasks) for _ in range(levels + 1)]
    for x, out in itertools.pairwise(chain):
        append_add(run, out, x, tasks)
    return run, run.finished_table(), chain


@pytest.mark.parametrize("tasks", [1, 2, 50])
def test_one_region_does_all_levels(thread_counts, tasks):
    run, table, chain = chain_of(200, tasks)
    for time in range(1, 4):
        chain[0].numpy()[...] = time
        table.choose(0, 200)
        replay.replay(table, run.scratch, True, True)
        np.testing.assert_array_equal(chain[-1].numpy(), time + 200)
    assert replay._failures < replay.MOST_FAILURES


def test_a_plan_of_many_levels_has_its_driver_before_the_first_replay(monkeypatch):
    calls = []
    monkeypatch.setattr(replay.threads, "get_num_threads", lambda: 2)
    monkeypatch.setattr(replay.driver.ONE_REGION, "_entry", None)
    monkeypatch.setattr(replay.driver.ONE_REGION, "_load", lambda: calls.append("load"))
    for levels, loads in ((1, []), (3, ["load"])):
        assembly, x = BACKEND.assembly(), array(1 << 16)
        pieces = [assembly.call("unary", (x, x, "exp"), {}) for _ in range(levels)]
        assembly.finish([[(piece, 0)] for piece in pieces], {})
        assert calls == loads


def test_one_region_stops_after_a_failure(thread_counts):
    run, out = BACKEND.program(), [array(9) for _ in range(3)]
    for n, x in enumerate(out):
        run.append(fail_at, 9, Row(x, x, None, None, None)._replace(n=4 if n == 1 else -1))
    table = run.finished_table()
    table.choose(0, 3)
    replay.replay(table, 0, True, True)
    assert list(table.status[:3]) == [1, 1, 3 | 4 << 8]
    assert out[2].numpy().sum() == 0


def test_a_layer_that_does_not_run_all_threads_at_once(monkeypatch):
    """The handshake fails; a region a level does the work, and after some failures nobody asks any more."""
    run, table, chain = chain_of(20, 8)
    asked = []
    monkeypatch.setattr(replay, "_failures", 0)
    monkeypatch.setattr(replay.threads, "get_num_threads", lambda: 2)
    monkeypatch.setattr(replay.layer, "layer_threads", lambda: 2)
    monkeypatch.setattr(replay.driver.ONE_REGION, "_entry", lambda *arguments: bool(asked.append(1)))
    for _ in range(6):
        chain[-1].numpy()[...] = 0
        table.choose(0, 20)
        replay.replay(table, run.scratch, True, True)
        np.testing.assert_array_equal(chain[-1].numpy(), 20)
    assert len(asked) == replay.MOST_FAILURES
