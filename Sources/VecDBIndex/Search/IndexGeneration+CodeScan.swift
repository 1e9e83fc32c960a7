extension IndexGeneration {
  /// Candidates that a scan of codes keeps beside what it needs, before it looks which may go.
  private static let spareCandidates = 4_096

  /// Compares the matching slots by codes, and by reported distance those that rounding to codes
  /// may hide among the `k` nearest. Nil where these are too many: then codes tell too little.
  ///
  /// Only the `k` nearest by codes are kept in order. The others that are near enough wait in a
  /// plain array: most of them drop out as soon as the nearest are known, and keeping them sorted
  /// cost as much as comparing them.
  func codeScan(
    view: ReadView, k: Int, coded: CodedQuery, scratch: SearchScratch, matching: MatchTest,
    _ outcome: inout SearchOutcome
  ) -> [SearchHit]? {
    let room = 2 * k + Self.spareCandidates
    let waiting = scratch.waitingWords(room + SearchScratch.batchLimit)
    scratch.pool.reset(capacity: k)
    var (slot, count) = (0, 0)
    var limit = UInt32.max
    while slot < view.slotCount {
      let n = matching.collect(
        from: &slot, to: view.slotCount, limit: SearchScratch.batchLimit, into: scratch.ids)
      guard n > 0 else { continue }
      coded.distances(scratch.ids, count: n, scratch.dots)
      outcome.distanceCount &+= n
      count = offer(n, scratch, limit: limit, to: waiting, from: count)
      // With weights a nearer k-th may have a wider margin, so that nothing can be left out yet.
      if coded.weights == nil { limit = self.limit(k, coded, scratch) }
      guard count > room else { continue }
      count = keepNear(waiting, count: count, limit: self.limit(k, coded, scratch))
      guard count > room / 2 + k else { continue }
      guard coded.slack + coded.slackPerRoot == 0 else { return nil }
      // Equal distances, and exact ones: the lower slots win.
      count = scratch.pool.count
      waiting.update(from: scratch.pool.words, count: count)
    }
    count = keepNear(waiting, count: count, limit: self.limit(k, coded, scratch))

    scratch.results.reset(capacity: k)
    var pending = 0
    let leftOut = scratch.leftOut
    for index in 0..<count {
      let word = waiting[index]
      let slot = CandidatePool.slot(word)
      guard slot != leftOut else { continue }
      if scratch.isQueryExact, exactRow(Int(slot)) == nil {
        keep(Self.sortableBits(Float(CandidatePool.distance(word))), slot, scratch)
        continue
      }
      scratch.ids[pending] = slot
      pending += 1
      guard pending == SearchScratch.batchLimit else { continue }
      keepExact(pending, coded, scratch, &outcome)
      pending = 0
    }
    if pending > 0 { keepExact(pending, coded, scratch, &outcome) }
    return hits(of: scratch, k: k)
  }

  /// The distance by codes up to which a record may be among the `k` nearest.
  @inline(__always)
  private func limit(_ k: Int, _ coded: CodedQuery, _ scratch: SearchScratch) -> UInt32 {
    scratch.pool.count < k ? .max : coded.rerankLimit(scratch.pool.words[k - 1])
  }

  /// Puts candidates up to `limit` behind the `count` that wait, and the nearest into the pool.
  /// Returns how many wait then.
  @inline(__always)
  private func offer(
    _ n: Int, _ scratch: SearchScratch, limit: UInt32, to waiting: UnsafeMutablePointer<UInt64>,
    from count: Int
  ) -> Int {
    var pool = scratch.pool
    defer { scratch.pool = pool }
    let (ids, dots) = (scratch.ids, scratch.dots)
    var (end, bound, i) = (count, pool.bound, 0)
    while i < n {
      let distance = UInt32(bitPattern: dots[i])
      let word = CandidatePool.word(distance: distance, slot: ids[i])
      // Without a branch, since it cannot be predicted.
      waiting[end] = word
      end &+= distance <= limit ? 1 : 0
      if word < bound {
        pool.insert(word)
        bound = pool.bound
      }
      i &+= 1
    }
    return end
  }

  /// Drops what is beyond `limit`; returns how many are left.
  private func keepNear(
    _ waiting: UnsafeMutablePointer<UInt64>, count: Int, limit: UInt32
  ) -> Int {
    var (kept, i) = (0, 0)
    while i < count {
      let word = waiting[i]
      waiting[kept] = word
      kept &+= CandidatePool.distance(word) <= limit ? 1 : 0
      i &+= 1
    }
    return kept
  }

  private func keepExact(
    _ count: Int, _ coded: CodedQuery, _ scratch: SearchScratch, _ outcome: inout SearchOutcome
  ) {
    exactKeys(scratch.ids, count: count, scratch, coded: coded)
    outcome.distanceCount &+= count
    for index in 0..<count { keep(scratch.keys[index], scratch.ids[index], scratch) }
  }

  @inline(__always)
  private func keep(_ key: UInt32, _ slot: UInt32, _ scratch: SearchScratch) {
    let word = CandidatePool.word(distance: key, slot: slot)
    if word < scratch.results.bound { scratch.results.insert(word) }
  }
}
