import CVecDBShims

// Raw pointers, intrinsics and while loops only: a generic of the standard library specialised
// here would be a weak symbol full of AVX2 that the linker may hand to callers on machines without
// it. scripts/check-kernels looks.

#if arch(x86_64)

  /// `KernelSet.dotCodes`, widened to 16 bits and multiplied with `vpmaddwd`, which is exact
  /// (`vpmaddubsw` would saturate); four rows at a time.
  package func avx2DotCodes(
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

  /// `KernelSet.dotCodesRange`. The processor's own prefetchers see the pattern.
  package func avx2DotCodesRange(
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

  /// Sixteen row bytes times sixteen query words, added to eight sums.
  @inline(__always)
  private func step(_ sum: __m256i, _ row: UnsafeRawPointer, _ query: __m256i) -> __m256i {
    _mm256_add_epi32(
      sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(vecdb_load_128(row)), query))
  }

  @inline(__always)
  private func dot4(
    _ query: UnsafeRawPointer, _ row0: UnsafeRawPointer, _ row1: UnsafeRawPointer,
    _ row2: UnsafeRawPointer, _ row3: UnsafeRawPointer, _ count: Int,
    _ out: UnsafeMutablePointer<Int32>
  ) {
    var sum0 = _mm256_setzero_si256()
    var sum1 = sum0
    var sum2 = sum0
    var sum3 = sum0
    var j = 0
    while j < count {
      let q0 = _mm256_cvtepi8_epi16(vecdb_load_128(query + j))
      let q1 = _mm256_cvtepi8_epi16(vecdb_load_128(query + j + 16))
      sum0 = step(step(sum0, row0 + j, q0), row0 + j + 16, q1)
      sum1 = step(step(sum1, row1 + j, q0), row1 + j + 16, q1)
      sum2 = step(step(sum2, row2 + j, q0), row2 + j + 16, q1)
      sum3 = step(step(sum3, row3 + j, q0), row3 + j + 16, q1)
      j &+= 32
    }
    let pairs = _mm256_hadd_epi32(
      _mm256_hadd_epi32(sum0, sum1), _mm256_hadd_epi32(sum2, sum3))
    vecdb_store_128(out, _mm_add_epi32(vecdb_low_128(pairs), vecdb_high_128(pairs)))
  }

  @inline(__always)
  private func dot1(
    _ query: UnsafeRawPointer, _ row: UnsafeRawPointer, _ count: Int
  ) -> Int32 {
    var sum0 = _mm256_setzero_si256()
    var sum1 = sum0
    var j = 0
    while j < count {
      sum0 = step(sum0, row + j, _mm256_cvtepi8_epi16(vecdb_load_128(query + j)))
      sum1 = step(sum1, row + j + 16, _mm256_cvtepi8_epi16(vecdb_load_128(query + j + 16)))
      j &+= 32
    }
    let sum = _mm256_add_epi32(sum0, sum1)
    let four = _mm_add_epi32(vecdb_low_128(sum), vecdb_high_128(sum))
    let two = _mm_hadd_epi32(four, four)
    return _mm_cvtsi128_si32(_mm_hadd_epi32(two, two))
  }

  /// `KernelSet.decodeCodes`, eight codes at a time.
  package func avx2DecodeCodes(
    _ codes: UnsafePointer<UInt8>, _ n: Int, _ scale: Float, _ offset: Float,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let scales = _mm256_set1_ps(scale)
    let offsets = _mm256_set1_ps(offset)
    var j = 0
    while j &+ 8 <= n {
      let values = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(vecdb_load_64(codes + j)))
      _mm256_storeu_ps(out + j, _mm256_add_ps(offsets, _mm256_mul_ps(scales, values)))
      j &+= 8
    }
    while j < n {
      let product = scale * Float(codes[j])
      out[j] = offset + product
      j &+= 1
    }
  }

#endif
