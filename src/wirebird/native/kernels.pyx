"""Which of the kernels of ``kernels.h`` this machine runs, for those who want to see."""

cdef extern from "kernels.h":
    int wb_best_vectors()
    enum:
        WB_SSE2
        WB_AVX2
        WB_NEON_16

__all__ = ["vectors"]


def vectors() -> str:
    """Return "avx2", "sse2", "neon", or "none" where plain C does it."""
    return {WB_AVX2: "avx2", WB_SSE2: "sse2", WB_NEON_16: "neon"}.get(wb_best_vectors(), "none")
