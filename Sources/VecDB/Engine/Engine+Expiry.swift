import VecDBLogStore

extension Engine {
  /// So many records are removed in one transaction, so that other writes are not kept waiting.
  static let expiredAtOnce = 4_096

  /// Logs the removal of records that have expired by the system's clock, at most so many, and returns
  /// how many there were. Does nothing where this node does not accept writes: it gets the removals
  /// from the one that does.
  ///
  /// What is logged is a delete like any other, so that replay, replicas and restores remove the same
  /// records at the same LSN, whatever their clocks say.
  func removeExpired(limit: Int = expiredAtOnce) throws -> Int {
    guard poison == nil, refusal == nil else { return 0 }
    let expired = try records.expired(through: systemClock(), limit: limit)
    let payloads = Dictionary(grouping: expired, by: \.collection).sorted { $0.key < $1.key }
      .compactMap { id, records -> [UInt8]? in
        guard let collection = state.collections[id] else { return nil }
        return BatchPayload.encodeWrite(
          collection: id, dimensions: collection.definition.dimensions,
          firstSlot: collection.slotCount, deaths: records.map(\.slot).sorted(), births: [])
      }
    _ = try write(payloads)
    return expired.count
  }
}
