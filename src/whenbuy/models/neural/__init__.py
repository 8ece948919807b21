"""Nets: encoders that read a customer's events one by one, and what they answer. The only home of torch, which is imported to train.

Files that serve (``kernels``, ``streams``, ``tokens``, ``windows``, ``net``, ``live``) need no torch.
"""
