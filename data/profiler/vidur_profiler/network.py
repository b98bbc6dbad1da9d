"""Collectives between the GPUs of this node: all_reduce.csv and send_recv.csv.

Measured through torch.distributed, NCCL on GPUs and gloo on the CPU (a toy, for tests).
With one GPU there is nothing to measure: the estimator then models collectives as latency
plus bytes over bandwidth of the node's links.
"""

import csv
import os
import queue
import statistics
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from .timing import Stats

ONE_GPU = "one GPU: no collective measured; the alpha-beta model of data/skus/nodes stays"
CPU_WORKERS = 2
REPEATS = 20


def sizes_bytes(toy):
    """Powers of two and their halves from 2 KiB to 256 MiB."""
    most = 1 << 14 if toy else 1 << 28
    size, found = 1 << 11, []
    while size <= most:
        found += [size, size + size // 2]
        size *= 2
    return found


def _clock(device):
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _samples_ms(call, device):
    """Wall time per call over batches of calls, so that launching is hidden by waiting."""
    for _ in range(3):
        call()
    dist.barrier()
    samples = []
    for _ in range(REPEATS // 4):
        start = _clock(device)
        for _ in range(REPEATS):
            call()
        samples.append((_clock(device) - start) / REPEATS * 1e3)
    return samples


def _call(collective, buffer, rank):
    if collective == "all_reduce":
        return lambda: dist.all_reduce(buffer)
    if rank == 0:
        return lambda: dist.send(buffer, 1)
    return lambda: dist.recv(buffer, 0)


def _worker(rank, workers, collective, sizes, device, port, results):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    if device == "cuda":
        torch.cuda.set_device(rank)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", rank=rank,
                            world_size=workers)
    try:
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        for size in sizes:
            count = size // torch.empty(0, dtype=dtype).element_size()
            buffer = torch.zeros(count, dtype=dtype, device=device)
            stats = Stats(_samples_ms(_call(collective, buffer, rank), device))
            if rank == 0:
                results.put((size, stats.as_list()))
    finally:
        dist.destroy_process_group()


def _free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _measure_group(workers, collective, device):
    """[(size, five numbers)] of one collective in one group of processes."""
    context = processes.get_context("spawn")
    results = context.Queue()
    sizes = sizes_bytes(device == "cpu")
    group = processes.spawn(
        _worker, (workers, collective, sizes, device, _free_port(), results),
        nprocs=workers, join=False)
    found = []
    while len(found) < len(sizes):
        try:
            found.append(results.get(timeout=1.0))
        except queue.Empty:
            group.join(timeout=0)  # raises what a worker raised
    while not group.join(timeout=1.0):
        pass
    return found


def _write(path, collective, rows):
    header = ["rank", "num_workers", "size", "collective", "devices_per_node"]
    header += [f"time_stats.{collective}.{field}" for field in Stats.FIELDS]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        for workers, size, numbers in rows:
            writer.writerow([0, workers, size, collective, workers,
                             *(f"{n:.4g}" for n in numbers)])


def measure(node, out, device):
    """Writes out/network/NODE/*.csv; says what was done."""
    devices = torch.cuda.device_count() if device == "cuda" else CPU_WORKERS
    if devices < 2:
        return ONE_GPU
    folder = os.path.join(out, "network", node)
    groups = {"all_reduce": [w for w in (2, 4, 8) if w <= devices], "send_recv": [2]}
    typical = []
    for collective, counts in groups.items():
        rows = [(workers, size, numbers) for workers in counts
                for size, numbers in _measure_group(workers, collective, device)]
        _write(os.path.join(folder, collective + ".csv"), collective, rows)
        typical.append(statistics.median(numbers[3] for _, _, numbers in rows))
    return (f"{folder}: all_reduce over {groups['all_reduce']} and send_recv, "
            f"median {typical[0]:.3g} and {typical[1]:.3g} ms")
