/// `KernelSet.differingBits` in plain Swift.
func portableDifferingBits(
  _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
  _ ids: UnsafePointer<UInt32>, _ n: Int, _ paddedBytes: Int,
  _ out: UnsafeMutablePointer<Int32>
) {
  let query = UnsafeRawPointer(query)
  for i in 0..<n {
    out[i] = 0 &- differingBits(query, rows + Int(ids[i]) &* strideBytes, paddedBytes)
  }
}

/// `KernelSet.differingBitsRange` in plain Swift.
func portableDifferingBitsRange(
  _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
  _ firstRow: Int, _ n: Int, _ paddedBytes: Int,
  _ out: UnsafeMutablePointer<Int32>
) {
  let query = UnsafeRawPointer(query)
  for i in 0..<n {
    out[i] = 0 &- differingBits(query, rows + (firstRow &+ i) &* strideBytes, paddedBytes)
  }
}

private func differingBits(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ bytes: Int) -> Int32 {
  var sum = 0
  var offset = 0
  while offset < bytes {
    let difference =
      a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      ^ b.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    sum &+= difference.nonzeroBitCount
    offset &+= 8
  }
  return Int32(truncatingIfNeeded: sum)
}
