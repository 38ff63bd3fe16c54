"""Student's t distribution, which the standard library does not have."""

import math
from functools import cache


def cdf(t: float, degrees: int) -> float:
    """The probability of a value up to `t`, for `degrees` of freedom (at least 1).

    By the regularised incomplete beta function I_x(degrees/2, 1/2) at x = degrees / (degrees + t^2):
    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1 and 26.5.27.
    """
    tail = 0.5 * _beta_ratio(degrees / (degrees + t * t), degrees / 2, 0.5)
    return 1 - tail if t > 0 else tail


@cache
def quantile(probability: float, degrees: int) -> float:
    """The t up to which `probability` (between 0.5 and 1) of the distribution lies, to 12 digits."""
    low, high = 0.0, 1.0
    while cdf(high, degrees) < probability:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _beta_ratio(x: float, a: float, b: float) -> float:
    """I_x(a, b), by the continued fraction of DLMF 8.17.22 where it converges fast."""
    if x in {0.0, 1.0}:
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_ratio(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return front / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) with the d of DLMF 8.17.23, from its end: 400 terms are plenty."""
    value = 1.0
    for m in range(200, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        k = m - 1
        odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
        value = 1 + odd / (1 + even / value)
    return value
