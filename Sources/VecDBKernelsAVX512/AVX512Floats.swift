import CVecDBShims

#if arch(x86_64)

  /// `KernelSet.squaredL2`: the sixteen lanes of the float order are one register.
  package func avx512SquaredL2(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dimensions: Int
  ) -> Float {
    var sum = _mm512_setzero_ps()
    var j = 0
    while j &+ 16 <= dimensions {
      sum = addSquare(sum, _mm512_loadu_ps(a + j), _mm512_loadu_ps(b + j))
      j &+= 16
    }
    if j < dimensions {
      let mask = vecdb_tail_mask(dimensions &- j)
      sum = addSquare(sum, _mm512_maskz_loadu_ps(mask, a + j), _mm512_maskz_loadu_ps(mask, b + j))
    }
    return fold(sum)
  }

  /// `KernelSet.innerProduct`.
  package func avx512InnerProduct(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dimensions: Int
  ) -> Float {
    var sum = _mm512_setzero_ps()
    var j = 0
    while j &+ 16 <= dimensions {
      sum = addProduct(sum, _mm512_loadu_ps(a + j), _mm512_loadu_ps(b + j))
      j &+= 16
    }
    if j < dimensions {
      let mask = vecdb_tail_mask(dimensions &- j)
      sum = addProduct(
        sum, _mm512_maskz_loadu_ps(mask, a + j), _mm512_maskz_loadu_ps(mask, b + j))
    }
    return fold(sum)
  }

  /// `KernelSet.squaredL2Rows`: one row has one chain of additions, four rows have four.
  package func avx512SquaredL2Rows(
    _ query: UnsafePointer<Float>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ ids: UnsafePointer<UInt32>, _ n: Int, _ dimensions: Int,
    _ out: UnsafeMutablePointer<Float>
  ) {
    var i = 0
    while i &+ 4 <= n {
      let row0 = floats(rows, ids[i], strideBytes)
      let row1 = floats(rows, ids[i &+ 1], strideBytes)
      let row2 = floats(rows, ids[i &+ 2], strideBytes)
      let row3 = floats(rows, ids[i &+ 3], strideBytes)
      // The next four rows are asked for line by line while these are used.
      let next = i &+ 8 <= n ? i &+ 4 : i
      let next0 = floats(rows, ids[next], strideBytes)
      let next1 = floats(rows, ids[next &+ 1], strideBytes)
      let next2 = floats(rows, ids[next &+ 2], strideBytes)
      let next3 = floats(rows, ids[next &+ 3], strideBytes)
      var sum0 = _mm512_setzero_ps()
      var sum1 = sum0
      var sum2 = sum0
      var sum3 = sum0
      var j = 0
      while j &+ 16 <= dimensions {
        let q = _mm512_loadu_ps(query + j)
        sum0 = addSquare(sum0, q, _mm512_loadu_ps(row0 + j))
        sum1 = addSquare(sum1, q, _mm512_loadu_ps(row1 + j))
        sum2 = addSquare(sum2, q, _mm512_loadu_ps(row2 + j))
        sum3 = addSquare(sum3, q, _mm512_loadu_ps(row3 + j))
        vecdb_prefetch(next0 + j)
        vecdb_prefetch(next1 + j)
        vecdb_prefetch(next2 + j)
        vecdb_prefetch(next3 + j)
        j &+= 16
      }
      if j < dimensions {
        let mask = vecdb_tail_mask(dimensions &- j)
        let q = _mm512_maskz_loadu_ps(mask, query + j)
        sum0 = addSquare(sum0, q, _mm512_maskz_loadu_ps(mask, row0 + j))
        sum1 = addSquare(sum1, q, _mm512_maskz_loadu_ps(mask, row1 + j))
        sum2 = addSquare(sum2, q, _mm512_maskz_loadu_ps(mask, row2 + j))
        sum3 = addSquare(sum3, q, _mm512_maskz_loadu_ps(mask, row3 + j))
      }
      _mm_storeu_ps(out + i, fold4(sum0, sum1, sum2, sum3))
      i &+= 4
    }
    while i < n {
      out[i] = avx512SquaredL2(query, floats(rows, ids[i], strideBytes), dimensions)
      i &+= 1
    }
  }

  /// `KernelSet.innerProductRows`.
  package func avx512InnerProductRows(
    _ query: UnsafePointer<Float>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ ids: UnsafePointer<UInt32>, _ n: Int, _ dimensions: Int,
    _ out: UnsafeMutablePointer<Float>
  ) {
    var i = 0
    while i &+ 4 <= n {
      let row0 = floats(rows, ids[i], strideBytes)
      let row1 = floats(rows, ids[i &+ 1], strideBytes)
      let row2 = floats(rows, ids[i &+ 2], strideBytes)
      let row3 = floats(rows, ids[i &+ 3], strideBytes)
      // The next four rows are asked for line by line while these are used.
      let next = i &+ 8 <= n ? i &+ 4 : i
      let next0 = floats(rows, ids[next], strideBytes)
      let next1 = floats(rows, ids[next &+ 1], strideBytes)
      let next2 = floats(rows, ids[next &+ 2], strideBytes)
      let next3 = floats(rows, ids[next &+ 3], strideBytes)
      var sum0 = _mm512_setzero_ps()
      var sum1 = sum0
      var sum2 = sum0
      var sum3 = sum0
      var j = 0
      while j &+ 16 <= dimensions {
        let q = _mm512_loadu_ps(query + j)
        sum0 = addProduct(sum0, q, _mm512_loadu_ps(row0 + j))
        sum1 = addProduct(sum1, q, _mm512_loadu_ps(row1 + j))
        sum2 = addProduct(sum2, q, _mm512_loadu_ps(row2 + j))
        sum3 = addProduct(sum3, q, _mm512_loadu_ps(row3 + j))
        vecdb_prefetch(next0 + j)
        vecdb_prefetch(next1 + j)
        vecdb_prefetch(next2 + j)
        vecdb_prefetch(next3 + j)
        j &+= 16
      }
      if j < dimensions {
        let mask = vecdb_tail_mask(dimensions &- j)
        let q = _mm512_maskz_loadu_ps(mask, query + j)
        sum0 = addProduct(sum0, q, _mm512_maskz_loadu_ps(mask, row0 + j))
        sum1 = addProduct(sum1, q, _mm512_maskz_loadu_ps(mask, row1 + j))
        sum2 = addProduct(sum2, q, _mm512_maskz_loadu_ps(mask, row2 + j))
        sum3 = addProduct(sum3, q, _mm512_maskz_loadu_ps(mask, row3 + j))
      }
      _mm_storeu_ps(out + i, fold4(sum0, sum1, sum2, sum3))
      i &+= 4
    }
    while i < n {
      out[i] = avx512InnerProduct(query, floats(rows, ids[i], strideBytes), dimensions)
      i &+= 1
    }
  }

  @inline(__always)
  private func floats(
    _ rows: UnsafeRawPointer, _ id: UInt32, _ strideBytes: Int
  ) -> UnsafePointer<Float> {
    (rows + Int(id) &* strideBytes).assumingMemoryBound(to: Float.self)
  }

  @inline(__always)
  private func addSquare(_ sum: __m512, _ a: __m512, _ b: __m512) -> __m512 {
    let difference = _mm512_sub_ps(a, b)
    return _mm512_add_ps(sum, _mm512_mul_ps(difference, difference))
  }

  @inline(__always)
  private func addProduct(_ sum: __m512, _ a: __m512, _ b: __m512) -> __m512 {
    _mm512_add_ps(sum, _mm512_mul_ps(a, b))
  }

  /// The halving tree over the lanes.
  @inline(__always)
  private func fold(_ lanes: __m512) -> Float {
    let eight = _mm256_add_ps(vecdb_low_256f(lanes), vecdb_high_256f(lanes))
    let four = _mm_add_ps(vecdb_low_128f(eight), vecdb_high_128f(eight))
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four))
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
  }

  /// The halving trees of four rows side by side: the same additions, lane for lane.
  @inline(__always)
  private func fold4(_ a: __m512, _ b: __m512, _ c: __m512, _ d: __m512) -> __m128 {
    vecdb_fold4(quarter(a), quarter(b), quarter(c), quarter(d))
  }

  @inline(__always)
  private func quarter(_ lanes: __m512) -> __m128 {
    let eight = _mm256_add_ps(vecdb_low_256f(lanes), vecdb_high_256f(lanes))
    return _mm_add_ps(vecdb_low_128f(eight), vecdb_high_128f(eight))
  }

#endif
