import CVecDBShims

// Raw pointers, intrinsics and while loops only; see AVX2Codes.swift.

#if arch(x86_64)

  /// `KernelSet.differingBits` with the processor's `popcnt`, which every processor with AVX2 has.
  package func avx2DifferingBits(
    _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ ids: UnsafePointer<UInt32>, _ n: Int, _ paddedBytes: Int,
    _ out: UnsafeMutablePointer<Int32>
  ) {
    let query = UnsafeRawPointer(query)
    var ahead = 0
    var i = 0
    while i < n {
      while ahead < n, ahead < i &+ 8 {
        vecdb_prefetch(rows + Int(ids[ahead]) &* strideBytes)
        ahead &+= 1
      }
      out[i] = 0 &- differingBits(query, rows + Int(ids[i]) &* strideBytes, paddedBytes)
      i &+= 1
    }
  }

  /// `KernelSet.differingBitsRange`.
  package func avx2DifferingBitsRange(
    _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ firstRow: Int, _ n: Int, _ paddedBytes: Int,
    _ out: UnsafeMutablePointer<Int32>
  ) {
    let query = UnsafeRawPointer(query)
    var row = rows + firstRow &* strideBytes
    var i = 0
    while i < n {
      out[i] = 0 &- differingBits(query, row, paddedBytes)
      row += strideBytes
      i &+= 1
    }
  }

  @inline(__always)
  private func differingBits(
    _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ bytes: Int
  ) -> Int32 {
    var (even, odd): (Int64, Int64) = (0, 0)
    var offset = 0
    while offset < bytes {
      even &+= vecdb_popcount64(
        a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
          ^ b.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      odd &+= vecdb_popcount64(
        a.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self)
          ^ b.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self))
      offset &+= 16
    }
    return Int32(truncatingIfNeeded: even &+ odd)
  }

#endif
