"""Our own kernels, each layer of the network by itself: is it right, and how fast is it?"""
