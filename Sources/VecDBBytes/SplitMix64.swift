/// The next number of the generator SplitMix64, whose whole state is `state`: the same sequence from
/// the same seed on every machine. Not for secrets.
///
/// (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.)
package func splitMix64(_ state: inout UInt64) -> UInt64 {
  state &+= splitMix64Increment
  return splitMix64Scrambled(state)
}

/// The finaliser of SplitMix64: numbers near each other get values that have nothing in common.
package func splitMix64Scrambled(_ value: UInt64) -> UInt64 {
  var mixed = value
  mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
  mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
  return mixed ^ (mixed >> 31)
}

/// 2^64 divided by the golden ratio.
package var splitMix64Increment: UInt64 { 0x9e37_79b9_7f4a_7c15 }
