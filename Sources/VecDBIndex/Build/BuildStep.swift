import Synchronization

/// One step of the builder, a sub-batch or a step of maintenance, as its threads see it: plain
/// values that a function is lent, so that no thread counts references to what all of them use.
struct BuildStep {
  let generation: IndexGeneration
  let graph: GraphView
  /// Those of nodes that are being inserted included, unlike the graph's.
  let upperRowCount: Int
  /// Links lead to slots below it. One that does not was damaged on disk, and ends its row.
  let slotLimit: UInt32
  let parents: UnsafeMutablePointer<UInt32>
  /// Empty in maintenance.
  let batch: SlotBatch
  /// Per node of the batch: the nearest node of the frozen graph.
  let nearestOld: UnsafeMutablePointer<UInt32>
  /// Per node of the batch: 0 where codes were not measured on it, otherwise one more than the
  /// nearest ones that they missed.
  let fit: UnsafeMutablePointer<UInt8>
  /// Whether the batch's nodes have links already.
  var isRefresh = false

  init(
    _ generation: IndexGeneration, batch: SlotBatch, nearestOld: UnsafeMutablePointer<UInt32>,
    fit: UnsafeMutablePointer<UInt8>
  ) {
    self.generation = generation
    self.batch = batch
    self.nearestOld = nearestOld
    self.fit = fit
    graph = GraphView(generation)
    upperRowCount = generation.arrays.upperLinks.count
    slotLimit = UInt32(generation.slotCount.load(ordering: .relaxed))
    parents = generation.parentWords
  }

  /// A node's row on a layer, in the batch or in the graph.
  @inline(__always)
  func row(of slot: Int, layer: Int) -> UnsafeMutablePointer<Atomic<UInt32>>? {
    guard layer > 0 else { return graph.baseRow(UInt32(slot)) }
    let word = graph.nodes[slot]
    let row = Int(word >> 4) + layer - 1
    guard layer <= Int(word & 15), row < upperRowCount else { return nil }
    return graph.upperLinks + row * graph.degree
  }

  /// Links in a row of a layer.
  @inline(__always)
  func capacity(onLayer layer: Int) -> Int { layer == 0 ? graph.baseDegree : graph.degree }

  /// To be called before a node's row on a layer is changed.
  func willWrite(_ node: Int, layer: Int) {
    let arrays = generation.arrays
    if layer == 0 {
      arrays.links.willWrite(row: node)
    } else {
      arrays.upperLinks.willWrite(row: Int(graph.nodes[node] >> 4) + layer - 1)
    }
  }
}
