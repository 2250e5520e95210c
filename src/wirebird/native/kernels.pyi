"""Which of the kernels of ``kernels.h`` this machine runs."""

__all__ = ["vectors"]

def vectors() -> str: ...
