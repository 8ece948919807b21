"""When she buys: curves, from the floors to trees and buy-till-you-die models."""
