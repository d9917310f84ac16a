"""Fault injection: damaged input, full disks, a stand-in for Kaggle, broken stages."""
