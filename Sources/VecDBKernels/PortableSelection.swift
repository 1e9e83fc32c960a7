/// `KernelSet.selectIDs` in plain Swift.
func portableSelectIDs(
  _ ids: UnsafePointer<UInt32>, _ words: Int, _ table: UnsafePointer<UInt32>, _ limit: UInt32,
  _ out: UnsafeMutablePointer<UInt64>
) {
  for word in 0..<words {
    var bits: UInt64 = 0
    for bit in 0..<64 {
      let id = min(ids[word &* 64 &+ bit], limit)
      bits |= UInt64(table[Int(id &>> 5)] &>> (id & 31) & 1) &<< UInt64(bit)
    }
    out[word] = bits
  }
}
