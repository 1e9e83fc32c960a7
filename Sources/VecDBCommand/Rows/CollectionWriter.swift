import VecDB

/// A collection that a verb writes to, in this process or through the one that has it open.
struct CollectionWriter: Sendable {
  let name: String
  let dimensions: Int
  let metric: Metric
  /// As `VectorCollection.upsert(_:mayReplace:)`.
  let upsert:
    @Sendable (_ records: [VectorRecord], _ mayReplace: [Bool]) async throws -> UpsertResult
  /// What is wrong with a record, as far as it is known here.
  let fault: @Sendable (VectorRecord) -> VecDBError?

  init(_ collection: VectorCollection) {
    name = collection.name
    dimensions = collection.dimensions
    metric = collection.metric
    upsert = { try await collection.upsert($0, mayReplace: $1) }
    fault = { collection.fault(in: $0) }
  }

  init(_ collection: RemoteCollection) {
    name = collection.name
    dimensions = collection.dimensions
    metric = collection.metric
    upsert = { try await collection.upsert($0, mayReplace: $1) }
    fault = { _ in nil }
  }

  /// See `Metric.unpacked`.
  func unpacked(_ row: [Float]) -> [Float] { metric.unpacked(row, dimensions: dimensions) }
}
