"""Arrays in, arrays out: the only code that knows hardware.

``array`` describes memory, ``contract`` names every kernel function once, ``backend`` loads the implementations
(``cpu`` and ``numpy``), ``philox`` draws the random numbers that all of them agree on.
"""
