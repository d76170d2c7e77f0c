"""Bytes that survive a crash."""
