"""Calibration: samples of real input, and the ranges they give."""
