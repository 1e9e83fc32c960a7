import Dispatch
import Synchronization
import VecDB

/// The distance of each query's true k-th neighbour, which recall is measured by: counting by
/// distance is fair where several records are equally far away.
enum ExactRadii {
  /// By exact search, on all cores.
  static func compute(
    _ collection: VectorCollection, _ queries: [[Float]], k: Int
  ) throws -> [Double] {
    let bar = ProgressBar(.items("queries"))
    defer { bar.finish() }
    let results = Mutex<(radii: [Double], done: Int, error: (any Error)?)>(
      ([Double](repeating: 0, count: queries.count), 0, nil))
    DispatchQueue.concurrentPerform(iterations: queries.count) { index in
      do {
        let found = try collection.search(
          queries[index], k: k, options: SearchOptions(exact: true))
        let radius = Double(found.hits.last?.distance ?? .infinity)
        let done = results.withLock { state in
          state.radii[index] = radius
          state.done += 1
          return state.done
        }
        bar.update(
          "computing the truth", done: done, total: queries.count,
          fraction: Double(done) / Double(queries.count))
      } catch {
        results.withLock { $0.error = error }
      }
    }
    return try results.withLock { state in
      if let error = state.error { throw error }
      return state.radii
    }
  }

  /// From an `.ivecs` file of row numbers, nearest first.
  static func read(
    _ path: String, _ collection: VectorCollection, _ queries: [[Float]], k: Int
  ) throws -> [Double] {
    let bytes = try ByteSource(path: path)
    var radii: [Double] = []
    for (index, query) in queries.enumerated() {
      let rows = try readRow(bytes, index)
      let wanted = min(k, collection.count)
      guard rows.count >= wanted else {
        throw inputError(
          "the row has \(rows.count) neighbours, fewer than the \(wanted) to measure", bytes,
          row: index, remedy: "Give a TRUTH with at least k neighbours, or - to compute it.")
      }
      guard wanted > 0, let record = try collection.get(String(rows[wanted - 1])) else {
        throw inputError(
          "the neighbour \(rows.last ?? 0) is not a row of the base", bytes, row: index,
          remedy: "With --limit, give - as TRUTH, so that the command computes it.")
      }
      radii.append(distance(query, record.vector, collection.metric))
    }
    return radii
  }

  /// The distance that a search reports, in float64.
  static func distance(_ query: [Float], _ vector: [Float], _ metric: Metric) -> Double {
    var product = 0.0
    var squares = 0.0
    var (queryNorm, vectorNorm) = (0.0, 0.0)
    for (a, b) in zip(query, vector) {
      let (a, b) = (Double(a), Double(b))
      product += a * b
      squares += (a - b) * (a - b)
      queryNorm += a * a
      vectorNorm += b * b
    }
    return switch metric {
    case .l2, .hamming: squares
    case .cosine: 1 - product / (queryNorm * vectorNorm).squareRoot()
    case .dot: -product
    }
  }

  private static func readRow(_ bytes: ByteSource, _ row: Int) throws -> [Int32] {
    func words(_ count: Int) throws -> [Int32] {
      var words = [Int32](repeating: 0, count: count)
      let found = try words.withUnsafeMutableBytes { try bytes.read(into: $0) }
      guard found == 4 * count else {
        throw inputError(
          "the file ends before the neighbours of this query", bytes, row: row,
          remedy: "Give a TRUTH for all queries, or - to compute it.")
      }
      return words.map { Int32(littleEndian: $0) }
    }
    let count = try words(1)[0]
    guard (1...1_000_000).contains(count) else {
      throw inputError(
        "the row's length reads \(count): this is not an .ivecs file", bytes, row: row,
        remedy: "Write each row as an int32 count, then that many int32 row numbers.")
    }
    return try words(Int(count))
  }
}
