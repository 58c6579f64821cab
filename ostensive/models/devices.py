"""Which device models run on, the one that is set or the best there is, and what to do when its memory is full.

Two models of one recipe may be set to different devices, and nothing imports torch before it is used.
"""

from typing import Final

from ostensive.errors import SettingsError

_CPU_ALLOCATOR: Final = "DefaultCPUAllocator"


def best_device() -> str:
    """`cuda` where there is a CUDA device, else `mps` where there is Apple's, else `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_device(asked: str) -> str:
    """`asked` (`cuda`, `cuda:1`, `mps`, `cpu`) if this machine has it, or the best for `auto`.

    Raises `SettingsError` for a device that torch does not know or this machine does not have.
    """
    import torch

    if asked == "auto":
        return best_device()
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise SettingsError(f"device: {asked!r} is no device; auto, cpu, mps, cuda or cuda:1 is expected") from error
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if device.type not in counts or (device.index or 0) >= counts[device.type]:
        raise SettingsError(
            f"device: this machine has no {asked}; expected is {best_device()}, or auto to take the best there is"
        )
    return asked


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a device, or main memory, is full."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # Main memory that torch cannot have is a plain RuntimeError (2.15), told from others by the allocator's name alone.
    return isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)


def give_back_memory() -> None:
    """Frees what no tensor uses any more, on all devices."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
