"""Seccomp: the default profile, the OCI section it comes to, and that section as a program for the kernel."""
