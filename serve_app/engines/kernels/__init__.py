"""The network's layers as Triton kernels of our own, for NVIDIA GPUs, in FP16.

Maps are [N, H, W, C], C a multiple of 8; sums are FP32. A kernel does all that follows its
convolution before it writes: bias, activation, shortcut, the sum with a coarser map resized. Sizes
are in `do_not_specialize`, or Triton would compile anew for those that are 1 or multiples of 16, so
that every kernel is compiled once for all images and batches; channels are given in eights, which
says how far addresses are aligned. Offsets of images are 64-bit, those within one 32-bit.

Importing anything in here needs Triton.
"""
