import CVecDBShims

// Raw pointers, intrinsics and while loops only: a generic of the standard library specialised
// here would be a weak symbol full of AVX-512 that the linker may hand to callers on machines
// without it. scripts/check-kernels looks.

#if arch(x86_64)

  /// `KernelSet.dotCodes` with `vpdpbusd`: four rows at a time.
  package func avx512DotCodes(
    _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ ids: UnsafePointer<UInt32>, _ n: Int, _ paddedDimensions: Int,
    _ out: UnsafeMutablePointer<Int32>
  ) {
    let query = UnsafeRawPointer(query)
    var ahead = 0
    while ahead < n, ahead < prefetchedRows {
      prefetch(rows + Int(ids[ahead]) &* strideBytes, paddedDimensions)
      ahead &+= 1
    }
    var i = 0
    while i &+ 4 <= n {
      var next = 0
      while next < 4, ahead < n {
        prefetch(rows + Int(ids[ahead]) &* strideBytes, paddedDimensions)
        ahead &+= 1
        next &+= 1
      }
      dot4(
        query, rows + Int(ids[i]) &* strideBytes, rows + Int(ids[i &+ 1]) &* strideBytes,
        rows + Int(ids[i &+ 2]) &* strideBytes, rows + Int(ids[i &+ 3]) &* strideBytes,
        paddedDimensions, out + i)
      i &+= 4
    }
    while i < n {
      out[i] = dot1(query, rows + Int(ids[i]) &* strideBytes, paddedDimensions)
      i &+= 1
    }
  }

  /// `KernelSet.dotCodesRange` with `vpdpbusd`. The processor's own prefetchers see the pattern.
  package func avx512DotCodesRange(
    _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ firstRow: Int, _ n: Int, _ paddedDimensions: Int,
    _ out: UnsafeMutablePointer<Int32>
  ) {
    let query = UnsafeRawPointer(query)
    var row = rows + firstRow &* strideBytes
    var i = 0
    while i &+ 4 <= n {
      dot4(
        query, row, row + strideBytes, row + strideBytes &* 2, row + strideBytes &* 3,
        paddedDimensions, out + i)
      row += strideBytes &* 4
      i &+= 4
    }
    while i < n {
      out[i] = dot1(query, row, paddedDimensions)
      row += strideBytes
      i &+= 1
    }
  }

  /// How many rows are asked for before the first is used.
  private var prefetchedRows: Int { 8 }

  @inline(__always)
  private func prefetch(_ row: UnsafeRawPointer, _ countBytes: Int) {
    var offset = 0
    while offset < countBytes {
      vecdb_prefetch(row + offset)
      offset &+= 64
    }
  }

  @inline(__always)
  private func dot4(
    _ query: UnsafeRawPointer, _ row0: UnsafeRawPointer, _ row1: UnsafeRawPointer,
    _ row2: UnsafeRawPointer, _ row3: UnsafeRawPointer, _ count: Int,
    _ out: UnsafeMutablePointer<Int32>
  ) {
    var sum0 = _mm512_setzero_si512()
    var sum1 = sum0
    var sum2 = sum0
    var sum3 = sum0
    var j = 0
    while j < count {
      let q = _mm512_loadu_si512(query + j)
      sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(row0 + j), q)
      sum1 = _mm512_dpbusd_epi32(sum1, _mm512_loadu_si512(row1 + j), q)
      sum2 = _mm512_dpbusd_epi32(sum2, _mm512_loadu_si512(row2 + j), q)
      sum3 = _mm512_dpbusd_epi32(sum3, _mm512_loadu_si512(row3 + j), q)
      j &+= 64
    }
    // Adds while transposing: afterwards every 128-bit part holds one partial sum of each row.
    let pair01 = _mm512_add_epi32(
      _mm512_unpacklo_epi32(sum0, sum1), _mm512_unpackhi_epi32(sum0, sum1))
    let pair23 = _mm512_add_epi32(
      _mm512_unpacklo_epi32(sum2, sum3), _mm512_unpackhi_epi32(sum2, sum3))
    let parts = _mm512_add_epi32(
      _mm512_unpacklo_epi64(pair01, pair23), _mm512_unpackhi_epi64(pair01, pair23))
    let halves = _mm256_add_epi32(vecdb_low_256(parts), vecdb_high_256(parts))
    let sums = _mm_add_epi32(vecdb_low_128(halves), vecdb_high_128(halves))
    vecdb_store_128(out, sums)
  }

  @inline(__always)
  private func dot1(
    _ query: UnsafeRawPointer, _ row: UnsafeRawPointer, _ count: Int
  ) -> Int32 {
    var sum0 = _mm512_setzero_si512()
    var sum1 = sum0
    var j = 0
    while j &+ 128 <= count {
      sum0 = _mm512_dpbusd_epi32(
        sum0, _mm512_loadu_si512(row + j), _mm512_loadu_si512(query + j))
      sum1 = _mm512_dpbusd_epi32(
        sum1, _mm512_loadu_si512(row + j + 64), _mm512_loadu_si512(query + j + 64))
      j &+= 128
    }
    if j < count {
      sum0 = _mm512_dpbusd_epi32(
        sum0, _mm512_loadu_si512(row + j), _mm512_loadu_si512(query + j))
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(sum0, sum1))
  }

  /// `KernelSet.decodeCodes`, sixteen codes at a time.
  package func avx512DecodeCodes(
    _ codes: UnsafePointer<UInt8>, _ n: Int, _ scale: Float, _ offset: Float,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let scales = _mm512_set1_ps(scale)
    let offsets = _mm512_set1_ps(offset)
    var j = 0
    while j &+ 16 <= n {
      let values = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(vecdb_load_128(codes + j)))
      _mm512_storeu_ps(out + j, _mm512_add_ps(offsets, _mm512_mul_ps(scales, values)))
      j &+= 16
    }
    if j < n {
      let mask = vecdb_tail_mask(n &- j)
      let values = _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, codes + j)))
      _mm512_mask_storeu_ps(
        out + j, mask, _mm512_add_ps(offsets, _mm512_mul_ps(scales, values)))
    }
  }

#endif
