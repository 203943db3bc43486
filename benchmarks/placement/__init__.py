"""Placement against its rivals on traces of work, by discrete events: python -m benchmarks.placement"""
