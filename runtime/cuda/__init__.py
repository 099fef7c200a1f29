"""NVIDIA GPUs: the driver, our own kernels and their launches. Nothing here is imported before a GPU is asked for."""
