import Cluster
import JobQueue
import Testing

struct PaceTests {
  private let lane = LaneID(connection: 1, lane: 10)

  @Test func aWorkerBeginsWithAllThatItMayTake() {
    #expect(BatchPace(batchTime: .seconds(5), most: 200).limit(lane) == 200)
  }

  @Test func slowJobsAreTakenFewAtATimeAndAtLeastOne() {
    let pace = BatchPace(batchTime: .seconds(5), most: 200)
    pace.note(200, of: lane, took: .seconds(100))
    #expect(pace.limit(lane) == 10)
    pace.note(10, of: lane, took: .seconds(1000))
    #expect(pace.limit(lane) == 1)
  }

  @Test func fewQuickJobsDoNotHideThatManyAreSlow() {
    let pace = BatchPace(batchTime: .seconds(5), most: 200)
    pace.note(100, of: lane, took: .seconds(50))
    pace.note(1, of: lane, took: .milliseconds(1))
    #expect(pace.limit(lane) < 12)
  }

  @Test func aWorkerRecovers() {
    let pace = BatchPace(batchTime: .seconds(5), most: 200)
    pace.note(200, of: lane, took: .seconds(1000))
    var batches = 0
    while pace.limit(lane) < 200, batches < 100 {
      pace.note(pace.limit(lane), of: lane, took: .milliseconds(pace.limit(lane)))
      batches += 1
    }
    #expect((2...30).contains(batches))
  }

  @Test func aSlowLaneDelaysNoOther() {
    let pace = BatchPace(batchTime: .seconds(5), most: 200)
    pace.note(200, of: lane, took: .seconds(1000))
    #expect(pace.limit(LaneID(connection: 1, lane: 11)) == 200)
  }
}
