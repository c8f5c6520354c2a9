"""Triton kernels of what the metrics count, for tensors on a GPU.

Triton is imported with the modules in here, and so only where a tensor is on CUDA, or where its interpreter
(``TRITON_INTERPRET=1``) runs the kernels on the CPU to check them.
"""
