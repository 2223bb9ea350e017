"""Maps on disk: the map store, tables of crops, formats of given maps, planes and boxes of simulations."""
