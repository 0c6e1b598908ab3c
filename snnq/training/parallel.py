"""Several processes that train one run together, each with a share of every batch.

`torchrun --nproc-per-node 2 -m snnq train …`, or `snnq.fit` in a script that torchrun starts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain

import torch
from torch import Tensor, distributed, nn

PATIENCE = timedelta(days=1)  # of the others, while the main one evaluates


class Processes:
    """Those that train together: this one alone, or a `torch.distributed` group.

    The main one, of rank 0, evaluates and writes; the others only compute gradients.
    """

    def __init__(self):
        together = distributed.is_available() and distributed.is_initialized()
        self.count = distributed.get_world_size() if together else 1
        self.rank = distributed.get_rank() if together else 0
        self.main = self.rank == 0

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process passes through the block, then the others, who find what it wrote."""
        if not self.main:
            distributed.barrier()
        yield
        if self.main and self.count > 1:
            distributed.barrier()

    def sum(self, values: Tensor) -> Tensor:
        """Of what each process has."""
        if self.count > 1:
            distributed.all_reduce(values := values.clone())
        return values

    def share(self, model: nn.Module) -> None:
        """Have the network start everywhere as it does in the main process."""
        if self.count == 1:
            return
        for tensor in chain(model.parameters(), model.buffers()):
            sent = tensor.detach().contiguous()  # as it must be to be sent
            distributed.broadcast(sent, 0)
            tensor.detach().copy_(sent)

    def any(self, *wishes: bool) -> list[bool]:
        """Of each wish, whether one of the processes has it."""
        if self.count == 1:
            return list(wishes)
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        return (self.sum(torch.tensor(wishes, dtype=torch.float32, device=device)) > 0).tolist()


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that torchrun started; this one alone where it was not started so."""
    alone = not distributed.is_available() or not distributed.is_torchelastic_launched()
    if alone or distributed.is_initialized():
        yield Processes()
        return
    distributed.init_process_group(timeout=PATIENCE)
    try:
        yield Processes()
    finally:
        distributed.destroy_process_group()
