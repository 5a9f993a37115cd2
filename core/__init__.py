"""Words everyone shares: errors, callers, clocks, codecs, topics. Imports none of our packages."""
