extension IndexGeneration {
  /// The `k` nearest visible records, approximately; `ef` (raised to `k`) is how many candidates the
  /// walk through the graph keeps. With a filter only its slots count. Never fewer than `k` where
  /// that many match.
  ///
  /// Lock-free, from any thread, beside the writer. Without a `view` the present moment is searched.
  /// Throws `.invalidParameter` for a wrong dimension, a zero query under cosine, or `k` below 1.
  package func search(
    _ query: UnsafeBufferPointer<Float>, k: Int, ef: Int, filter: SlotBitset? = nil,
    at view: ReadView? = nil
  ) throws(IndexError) -> SearchOutcome {
    guard k > 0 else { throw .invalidParameter("k is \(k), it must be at least 1") }
    let scratch = scratchPool.take(parameters)
    defer { scratchPool.giveBack(scratch) }
    try prepare(scratch, for: query)
    let view = view ?? self.view()
    return scan(view: view, k: min(k, view.slotCount), filter: filter, scratch: scratch)
  }

  /// The same for an array.
  package func search(
    _ query: [Float], k: Int, ef: Int, filter: SlotBitset? = nil, at view: ReadView? = nil
  ) throws(IndexError) -> SearchOutcome {
    let result = query.withUnsafeBufferPointer { buffer in
      Result { () throws(IndexError) in
        try search(buffer, k: k, ef: ef, filter: filter, at: view)
      }
    }
    return try result.get()
  }

  /// The `k` nearest visible records, exactly, by comparing all of them: the truth that recall is
  /// measured against. Costs a pass over all vectors. Throws as `search`.
  package func exactSearch(
    _ query: [Float], k: Int, filter: SlotBitset? = nil, at view: ReadView? = nil
  ) throws(IndexError) -> SearchOutcome {
    guard k > 0 else { throw .invalidParameter("k is \(k), it must be at least 1") }
    let scratch = scratchPool.take(parameters)
    defer { scratchPool.giveBack(scratch) }
    let prepared = query.withUnsafeBufferPointer { buffer in
      Result { () throws(IndexError) in try prepare(scratch, for: buffer) }
    }
    try prepared.get()
    let view = view ?? self.view()
    return scan(view: view, k: min(k, view.slotCount), filter: filter, scratch: scratch)
  }
}
