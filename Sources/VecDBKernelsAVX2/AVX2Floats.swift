import CVecDBShims

#if arch(x86_64)

  /// `KernelSet.squaredL2`: lanes 0–7 and 8–15 of the float order are one register each.
  package func avx2SquaredL2(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dimensions: Int
  ) -> Float {
    var low = _mm256_setzero_ps()
    var high = low
    var j = 0
    while j &+ 16 <= dimensions {
      low = addSquare(low, _mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j))
      high = addSquare(high, _mm256_loadu_ps(a + j + 8), _mm256_loadu_ps(b + j + 8))
      j &+= 16
    }
    if j < dimensions {
      let lowLanes = vecdb_tail_lanes(dimensions &- j)
      let highLanes = vecdb_tail_lanes(dimensions &- j &- 8)
      low = addSquare(low, tail(a + j, lowLanes), tail(b + j, lowLanes))
      high = addSquare(high, tail(a + j + 8, highLanes), tail(b + j + 8, highLanes))
    }
    return fold(low, high)
  }

  /// `KernelSet.innerProduct`: lanes 0–7 and 8–15 of the float order are one register each.
  package func avx2InnerProduct(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dimensions: Int
  ) -> Float {
    var low = _mm256_setzero_ps()
    var high = low
    var j = 0
    while j &+ 16 <= dimensions {
      low = addProduct(low, _mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j))
      high = addProduct(high, _mm256_loadu_ps(a + j + 8), _mm256_loadu_ps(b + j + 8))
      j &+= 16
    }
    if j < dimensions {
      let lowLanes = vecdb_tail_lanes(dimensions &- j)
      let highLanes = vecdb_tail_lanes(dimensions &- j &- 8)
      low = addProduct(low, tail(a + j, lowLanes), tail(b + j, lowLanes))
      high = addProduct(high, tail(a + j + 8, highLanes), tail(b + j + 8, highLanes))
    }
    return fold(low, high)
  }

  /// `KernelSet.squaredL2Rows`: four rows at a time have eight chains of additions.
  package func avx2SquaredL2Rows(
    _ query: UnsafePointer<Float>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ ids: UnsafePointer<UInt32>, _ n: Int, _ dimensions: Int,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let zero = _mm256_setzero_ps()
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
      var (low0, high0) = (zero, zero)
      var (low1, high1) = (zero, zero)
      var (low2, high2) = (zero, zero)
      var (low3, high3) = (zero, zero)
      var j = 0
      while j &+ 16 <= dimensions {
        let q0 = _mm256_loadu_ps(query + j)
        let q1 = _mm256_loadu_ps(query + j + 8)
        low0 = addSquare(low0, q0, _mm256_loadu_ps(row0 + j))
        high0 = addSquare(high0, q1, _mm256_loadu_ps(row0 + j + 8))
        low1 = addSquare(low1, q0, _mm256_loadu_ps(row1 + j))
        high1 = addSquare(high1, q1, _mm256_loadu_ps(row1 + j + 8))
        low2 = addSquare(low2, q0, _mm256_loadu_ps(row2 + j))
        high2 = addSquare(high2, q1, _mm256_loadu_ps(row2 + j + 8))
        low3 = addSquare(low3, q0, _mm256_loadu_ps(row3 + j))
        high3 = addSquare(high3, q1, _mm256_loadu_ps(row3 + j + 8))
        vecdb_prefetch(next0 + j)
        vecdb_prefetch(next1 + j)
        vecdb_prefetch(next2 + j)
        vecdb_prefetch(next3 + j)
        j &+= 16
      }
      if j < dimensions {
        let lowLanes = vecdb_tail_lanes(dimensions &- j)
        let highLanes = vecdb_tail_lanes(dimensions &- j &- 8)
        let q0 = tail(query + j, lowLanes)
        let q1 = tail(query + j + 8, highLanes)
        low0 = addSquare(low0, q0, tail(row0 + j, lowLanes))
        high0 = addSquare(high0, q1, tail(row0 + j + 8, highLanes))
        low1 = addSquare(low1, q0, tail(row1 + j, lowLanes))
        high1 = addSquare(high1, q1, tail(row1 + j + 8, highLanes))
        low2 = addSquare(low2, q0, tail(row2 + j, lowLanes))
        high2 = addSquare(high2, q1, tail(row2 + j + 8, highLanes))
        low3 = addSquare(low3, q0, tail(row3 + j, lowLanes))
        high3 = addSquare(high3, q1, tail(row3 + j + 8, highLanes))
      }
      let sums = vecdb_fold4(
        quarter(low0, high0), quarter(low1, high1), quarter(low2, high2), quarter(low3, high3))
      _mm_storeu_ps(out + i, sums)
      i &+= 4
    }
    while i < n {
      out[i] = avx2SquaredL2(query, floats(rows, ids[i], strideBytes), dimensions)
      i &+= 1
    }
  }

  /// `KernelSet.innerProductRows`: four rows at a time have eight chains of additions.
  package func avx2InnerProductRows(
    _ query: UnsafePointer<Float>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
    _ ids: UnsafePointer<UInt32>, _ n: Int, _ dimensions: Int,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let zero = _mm256_setzero_ps()
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
      var (low0, high0) = (zero, zero)
      var (low1, high1) = (zero, zero)
      var (low2, high2) = (zero, zero)
      var (low3, high3) = (zero, zero)
      var j = 0
      while j &+ 16 <= dimensions {
        let q0 = _mm256_loadu_ps(query + j)
        let q1 = _mm256_loadu_ps(query + j + 8)
        low0 = addProduct(low0, q0, _mm256_loadu_ps(row0 + j))
        high0 = addProduct(high0, q1, _mm256_loadu_ps(row0 + j + 8))
        low1 = addProduct(low1, q0, _mm256_loadu_ps(row1 + j))
        high1 = addProduct(high1, q1, _mm256_loadu_ps(row1 + j + 8))
        low2 = addProduct(low2, q0, _mm256_loadu_ps(row2 + j))
        high2 = addProduct(high2, q1, _mm256_loadu_ps(row2 + j + 8))
        low3 = addProduct(low3, q0, _mm256_loadu_ps(row3 + j))
        high3 = addProduct(high3, q1, _mm256_loadu_ps(row3 + j + 8))
        vecdb_prefetch(next0 + j)
        vecdb_prefetch(next1 + j)
        vecdb_prefetch(next2 + j)
        vecdb_prefetch(next3 + j)
        j &+= 16
      }
      if j < dimensions {
        let lowLanes = vecdb_tail_lanes(dimensions &- j)
        let highLanes = vecdb_tail_lanes(dimensions &- j &- 8)
        let q0 = tail(query + j, lowLanes)
        let q1 = tail(query + j + 8, highLanes)
        low0 = addProduct(low0, q0, tail(row0 + j, lowLanes))
        high0 = addProduct(high0, q1, tail(row0 + j + 8, highLanes))
        low1 = addProduct(low1, q0, tail(row1 + j, lowLanes))
        high1 = addProduct(high1, q1, tail(row1 + j + 8, highLanes))
        low2 = addProduct(low2, q0, tail(row2 + j, lowLanes))
        high2 = addProduct(high2, q1, tail(row2 + j + 8, highLanes))
        low3 = addProduct(low3, q0, tail(row3 + j, lowLanes))
        high3 = addProduct(high3, q1, tail(row3 + j + 8, highLanes))
      }
      let sums = vecdb_fold4(
        quarter(low0, high0), quarter(low1, high1), quarter(low2, high2), quarter(low3, high3))
      _mm_storeu_ps(out + i, sums)
      i &+= 4
    }
    while i < n {
      out[i] = avx2InnerProduct(query, floats(rows, ids[i], strideBytes), dimensions)
      i &+= 1
    }
  }

  @inline(__always)
  private func floats(
    _ rows: UnsafeRawPointer, _ id: UInt32, _ strideBytes: Int
  ) -> UnsafePointer<Float> {
    (rows + Int(id) &* strideBytes).assumingMemoryBound(to: Float.self)
  }

  /// The lanes that exist, and zeros; memory behind the vector is not touched.
  @inline(__always)
  private func tail(_ pointer: UnsafePointer<Float>, _ lanes: __m256i) -> __m256 {
    _mm256_maskload_ps(pointer, lanes)
  }

  @inline(__always)
  private func addSquare(_ sum: __m256, _ a: __m256, _ b: __m256) -> __m256 {
    let difference = _mm256_sub_ps(a, b)
    return _mm256_add_ps(sum, _mm256_mul_ps(difference, difference))
  }

  @inline(__always)
  private func addProduct(_ sum: __m256, _ a: __m256, _ b: __m256) -> __m256 {
    _mm256_add_ps(sum, _mm256_mul_ps(a, b))
  }

  /// The halving tree over the sixteen lanes.
  @inline(__always)
  private func fold(_ low: __m256, _ high: __m256) -> Float {
    let four = quarter(low, high)
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four))
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
  }

  @inline(__always)
  private func quarter(_ low: __m256, _ high: __m256) -> __m128 {
    let eight = _mm256_add_ps(low, high)
    return _mm_add_ps(vecdb_low_128f(eight), vecdb_high_128f(eight))
  }

#endif
