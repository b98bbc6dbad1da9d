"""How long one operator takes, timed the way a serving engine runs it.

On a GPU the calls are captured in a CUDA graph and the graph is replayed between two
events: no launch cost of Python, the gap between dependent kernels included. The caller
hands over several calls that do the same work over different buffers, so that what an
engine finds cold (weights, KV cache) is cold here as well.
"""

import statistics
import time

import torch


class Stats:
    """Milliseconds per call over the repeats."""

    FIELDS = ("min", "max", "mean", "median", "std")

    def __init__(self, samples):
        self.min = min(samples)
        self.max = max(samples)
        self.mean = statistics.fmean(samples)
        self.median = statistics.median(samples)
        self.std = statistics.pstdev(samples)

    def as_list(self):
        return [getattr(self, field) for field in self.FIELDS]


class CpuTimer:
    """Wall time of single calls; for tests, not for profiles."""

    cold_bytes = 0

    def estimate_ms(self, calls):
        return self.measure(calls, quick=True).median

    def measure(self, calls, quick=False):
        calls[0]()
        samples = []
        for i in range(2 if quick else 3):
            start = time.perf_counter()
            calls[i % len(calls)]()
            samples.append((time.perf_counter() - start) * 1e3)
        return Stats(samples)


class CudaTimer:
    """Events around graph replays; falls back to events around calls where they are long."""

    LONG_MS = 2.0  # from here on launch cost does not matter
    GRAPH_MS = 0.25  # work in one graph, so that its start is a small share
    MAX_CALLS = 96

    def __init__(self):
        properties = torch.cuda.get_device_properties(0)
        self.cold_bytes = 3 * getattr(properties, "L2_cache_size", 64 << 20)
        # Graphs need a stream of their own; everything else moves to it as well, so that
        # no call starts before its inputs are filled and no buffer is reused too early.
        self.stream = torch.cuda.Stream()
        torch.cuda.synchronize()
        torch.cuda.set_stream(self.stream)

    def estimate_ms(self, calls):
        """The quickest of three calls after one to warm up; of small kernels, the launch."""
        calls[0]()
        first = self._event_ms(calls, 1, 1)
        if first > self.LONG_MS:
            return first
        return min(first, *(self._event_ms(calls, 1, i) for i in (2, 3)))

    def measure(self, calls, quick=False):
        estimate = self.estimate_ms(calls)
        if estimate > self.LONG_MS:
            return Stats([self._event_ms(calls, 1, i) for i in range(3 if quick else 7)])
        return Stats(self._replay(calls, estimate, 3 if quick else 9))

    def _event_ms(self, calls, count, first=0):
        start, end = self._events()
        start.record()
        for i in range(count):
            calls[(first + i) % len(calls)]()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / count

    def _events(self):
        return tuple(torch.cuda.Event(enable_timing=True) for _ in range(2))

    def _capture(self, calls, count):
        for call in calls[: min(count, len(calls))]:
            call()
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            for i in range(count):
                calls[i % len(calls)]()
        finally:
            graph.capture_end()
        return graph

    def _replay(self, calls, estimate_ms, repeats):
        # An eager call of a small kernel mostly shows the launch, so small is taken as 3 us.
        likely = 0.003 if estimate_ms < 0.08 else estimate_ms
        most = self.MAX_CALLS // 4 if repeats <= 3 else self.MAX_CALLS
        count = int(min(max(self.GRAPH_MS / likely, 4, len(calls)), most))
        graph = self._capture(calls, count)
        pairs = [self._events() for _ in range(repeats + 1)]
        for start, end in pairs:
            start.record()
            graph.replay()
            end.record()
        self.stream.synchronize()
        samples = [start.elapsed_time(end) / count for start, end in pairs[1:]]
        graph.reset()
        forget = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
        if forget:  # each capture may have got a workspace that outlives its graph
            forget()
        return samples


def make_timer(device):
    return CudaTimer() if device == "cuda" else CpuTimer()
